"""A process that spends credit and is killed for it: `python -m tests.billing.crash_worker <mode> <user id>`.

`write` holds and captures in eight threads until its standard input closes; every line `acked <source>` was committed.
`held`, `uncommitted`, `captured` go exactly so far, say so, and wait to be killed.
`sweep` releases what is overdue and proves the books.
"""

import sys
import threading
import time
import uuid

import django
from django.conf import settings
from django.core.management import call_command
from django.db import InterfaceError, OperationalError, connections, transaction

django.setup()

from billing.models import Hold  # noqa: E402  the apps must be loaded first
from billing.services import hold_credit, settle_hold, void_expired_holds  # noqa: E402

THREADS = 8
AMOUNT_MICROS = 100
GONE = (OperationalError, InterfaceError)


def main(mode: str, user_id: int) -> None:
    settings.REQUESTS_PER_MINUTE = 10_000_000
    settings.STREAMS_PER_ACCOUNT = 100_000
    if mode == "write":
        write(user_id)
    elif mode == "sweep":
        deadline = time.monotonic() + 30
        while Hold.objects.open().exists() and time.monotonic() < deadline:
            void_expired_holds()
            time.sleep(0.1)
        call_command("check_ledger")
    else:
        go_as_far_as(mode, user_id)


def write(user_id: int) -> None:
    """Spend until the parent closes our input."""
    ended = threading.Event()
    threads = [threading.Thread(target=spend, args=(user_id, ended)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    say("ready")
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()


def spend(user_id: int, ended: threading.Event) -> None:
    """Hold and capture again and again; what a lost connection left in doubt is tried again with the same source."""
    while not ended.is_set():
        source_id = uuid.uuid4().hex
        try:
            hold = hold_credit(user_id=user_id, amount_micros=AMOUNT_MICROS, life_s=2)
        except GONE:
            connections.close_all()
            time.sleep(0.05)
            continue
        settle(hold, source_id)


def settle(hold: Hold, source_id: str) -> None:
    while True:
        try:
            settlement = settle_hold(
                hold_id=hold.pk, amount_micros=AMOUNT_MICROS, source_type="generation", source_id=source_id
            )
        except GONE:
            connections.close_all()
            time.sleep(0.05)
        else:
            say(f"acked {source_id}" if settlement else f"done before {source_id}")
            return


def go_as_far_as(point: str, user_id: int) -> None:
    """Stop at a point between hold and capture, and wait for the end."""
    hold = hold_credit(user_id=user_id, amount_micros=AMOUNT_MICROS, life_s=1)
    if point == "held":
        wait_to_be_killed(point, hold)
    with transaction.atomic():
        settle_hold(hold_id=hold.pk, amount_micros=60, source_type="generation", source_id=f"crash-{hold.pk}")
        if point == "uncommitted":
            wait_to_be_killed(point, hold)
    wait_to_be_killed(point, hold)


def wait_to_be_killed(point: str, hold: Hold) -> None:
    say(f"{point} {hold.pk}")
    threading.Event().wait()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
