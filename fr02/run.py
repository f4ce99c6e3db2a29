"""Bring the whole platform up on this machine and keep it up: `python -m fr02.run`, behind `make run`.

Standard library and the setup modules only: what needs Django runs in processes of its own.
"""

import ctypes
import http.client
import json
import os
import re
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psycopg

from fr02 import assets, embedded, env
from fr02.host import SetupError, say

BASE_DIR = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
READY_SECONDS = 60
STOP_SECONDS = 8
BACKGROUND_JOBS = 4
PR_SET_PDEATHSIG = 1
# How manage.py begins the one sentence that says what the set-up lacks.
REFUSED = "FR02\u00a0: "
EXCEPTION_NAME = re.compile(r"^([A-Za-z_]\w*\.)+\w+: ")

stopping = threading.Event()


@dataclass(frozen=True)
class Program:
    """A process that FR02 consists of: its French name, its log in `<var>/log`, and how it is started."""

    name: str
    log: str
    command: list[str]


def programs(port: int) -> list[Program]:
    """Return what runs while FR02 is up, in the order of starting."""
    manage = [sys.executable, "manage.py"]
    serve = [
        sys.executable,
        "-m",
        "fr02.serve",
        "--bind",
        HOST,
        "--port",
        str(port),
    ]
    # One at a time, the nightly mirror of Fish Audio's catalogue would keep everything else waiting for hours.
    jobs = ["--concurrency", str(BACKGROUND_JOBS), "--shutdown-graceful-timeout", "5"]
    # What failed stays, to be looked at; the rest would be a few thousand rows a day.
    jobs += ["--delete-jobs", "successful"]
    worker = [*manage, "procrastinate", "worker", *jobs]
    return [
        Program("Le serveur", "server.log", [*serve, "fr02.asgi:application"]),
        Program("Le travail de fond", "worker.log", worker),
    ]


def stand_ins(port: int) -> list[Program]:
    """Return the stand-ins that were asked for (`make run FISH=stand-in STRIPE=stand-in`); point FR02 at them."""
    chosen = (("FISH", fish_stand_in), ("STRIPE", stripe_stand_in))
    return [program(port) for name, program in chosen if is_stand_in_wanted(name)]


def is_stand_in_wanted(name: str) -> bool:
    """Tell whether the variable asks for a stand-in; another word is refused."""
    wanted = env.text(f"FR02_{name}")
    if wanted not in ("", "stand-in"):
        raise SetupError(f"{name} ne connaît que «\u202fstand-in\u202f», pas «\u202f{wanted}\u202f».")
    return bool(wanted)


def fish_stand_in(port: int) -> Program:
    """Return the stand-in for Fish Audio, FR02 being on `port`."""
    own = free_port()
    os.environ |= {"FISH_API_KEY": "stand-in", "FISH_BASE_URL": f"http://{HOST}:{own}"}
    return Program(
        "Le faux Fish Audio", "fish.log", [sys.executable, "-m", "tests.fish_stand_in", "--port", str(own)]
    )


def stripe_stand_in(port: int) -> Program:
    """Return the stand-in for Stripe, whose webhooks come to `port`."""
    own, secret = free_port(), f"whsec_{secrets.token_hex(16)}"
    os.environ |= {
        "STRIPE_SECRET_KEY": "sk_test_banc",
        "STRIPE_WEBHOOK_SECRETS": secret,
        "STRIPE_API_BASE": f"http://{HOST}:{own}",
    }
    webhook = f"http://localhost:{port}/stripe/webhook"
    command = [sys.executable, "-m", "tests.stripe_stand_in", "--port", str(own)]
    return Program("Le faux Stripe", "stripe.log", [*command, "--webhook", webhook, "--secret", secret])


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Start everything, welcome, and watch until Ctrl-C (status 0) or until a part fails (status 1)."""
    var_dir = env.path("FR02_VAR_DIR", BASE_DIR / "var")
    # SIGINT too: whoever is started in the background by a script inherits that it is ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, ask_to_stop)
    sys.unraisablehook = pass_over_ctrl_c
    running: list[tuple[Program, subprocess.Popen[bytes]]] = []
    try:
        port = check_port()
        extra = stand_ins(port)
        start_database(var_dir)
        assets.ensure_model(var_dir)
        account = prepare_database(var_dir)
        try:
            say("Démarrage du serveur…")
            running += ((program, start(program, var_dir)) for program in extra + programs(port))
            wait_until_ready(port, running, var_dir)
        except (KeyboardInterrupt, SetupError):
            # The next start will say that they were shown.
            for line in first_access(account):
                print(line, flush=True)
            raise
        welcome(port, account)
        watch(running, var_dir)
    except KeyboardInterrupt:
        say("\nArrêt de FR02…")
        return 0
    finally:
        stop([process for _, process in running])
        embedded.release(var_dir)


def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
    """Break off whatever is being done; what swallows the exception (a fork's hooks do) is reminded of it."""
    stopping.set()
    raise KeyboardInterrupt


def pass_over_ctrl_c(ignored: Any) -> None:
    """Print what Python had to swallow, as it does by itself, but not a Ctrl-C: `stopping` remembers it."""
    if not isinstance(ignored.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)


def check_port() -> int:
    """Return the port to serve on, free at this moment."""
    text = env.text("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SetupError(f"PORT doit être un nombre de 1 à 65535, pas «\u202f{text}\u202f».")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except PermissionError:
            raise SetupError(f"Le port {text} est réservé au système\u00a0: make run PORT=8080") from None
        except OSError:
            raise SetupError(
                f"Le port {text} est déjà utilisé\u00a0: choisissez-en un autre, make run PORT=8080"
            ) from None
    return int(text)


def start_database(var_dir: Path) -> None:
    """Start the embedded PostgreSQL, or check that the one of DATABASE_URL answers."""
    given = env.text("DATABASE_URL")
    if not given:
        say("Démarrage de PostgreSQL…")
        embedded.database_url(var_dir)
        return
    try:
        psycopg.connect(given, connect_timeout=5).close()
    except psycopg.ProgrammingError:
        raise SetupError("DATABASE_URL n’est pas une adresse PostgreSQL (postgresql://…).") from None
    except psycopg.OperationalError as error:
        reason = str(error).splitlines()[0]
        raise SetupError(f"La base de données de DATABASE_URL ne répond pas\u00a0: {reason}") from None


def prepare_database(var_dir: Path) -> dict[str, str | None]:
    """Migrate and make the demo account. Return its e-mail, and at the first start its password and key."""
    say("Préparation de la base de données…")
    log = fresh_log(var_dir, "prepare.log")
    with log.open("wb") as errors:
        done = subprocess.run(
            [sys.executable, "manage.py", "prepare"],
            cwd=BASE_DIR,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
        )
    if done.returncode:
        reason = last_line(log)
        if reason.startswith(REFUSED):
            raise SetupError(f"{reason.removeprefix(REFUSED)}.")
        raise SetupError(f"La base de données n’a pas pu être préparée\u00a0: {reason} (voir {log}).")
    account: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return account


def start(program: Program, var_dir: Path) -> subprocess.Popen[bytes]:
    """Start a part in a session of its own, so that Ctrl-C reaches it through this process alone.

    Its log goes to a file; what it prints, mail in development, comes to the terminal.
    """
    with fresh_log(var_dir, program.log).open("wb") as log:
        return subprocess.Popen(
            program.command,
            cwd=BASE_DIR,
            stdin=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


def wait_until_ready(
    port: int, running: list[tuple[Program, subprocess.Popen[bytes]]], var_dir: Path
) -> None:
    """Wait until the server answers its health check."""
    deadline = time.monotonic() + READY_SECONDS
    while not is_answering(port):
        check_alive(running, var_dir)
        if time.monotonic() > deadline:
            raise SetupError(
                f"Le serveur ne répond pas après {READY_SECONDS}\u00a0s (voir {var_dir / 'log'})."
            )
        time.sleep(0.1)


def is_answering(port: int) -> bool:
    """Say whether the server answers on the port."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def welcome(port: int, account: dict[str, str | None]) -> None:
    """Tell where FR02 is and how to enter; the key and the password are known at the first start only."""
    portal = f"http://localhost:{port}/developpeurs/"
    lines = ["", f"FR02 est prêt\u00a0: {portal}"]
    lines += first_access(account)
    if not account["key"]:
        python = Path(sys.executable)
        python = python.relative_to(BASE_DIR) if python.is_relative_to(BASE_DIR) else python
        reset = f"{shlex.quote(str(python))} manage.py changepassword {account['email']}"
        lines += [f"Compte de démonstration\u00a0: {account['email']} (mot de passe oublié\u00a0: {reset})"]
        lines += [f"Sa clé API a été affichée au premier démarrage\u00a0; créez-en une autre sur {portal}"]
    lines += ["Ctrl-C arrête tout.", ""]
    print("\n".join(lines), flush=True)


def first_access(account: dict[str, str | None]) -> list[str]:
    """Return the lines with the password and the key of a demo account that was just made, else none."""
    if not account["key"]:
        return []
    return [
        f"Compte de démonstration\u00a0: {account['email']}, mot de passe {account['password']}",
        "Sa clé API, affichée cette seule fois\u00a0:",
        f"FR02_API_KEY={account['key']}",
    ]


def watch(running: list[tuple[Program, subprocess.Popen[bytes]]], var_dir: Path) -> NoReturn:
    """Stay until a part ends by itself, which is an error."""
    while True:
        check_alive(running, var_dir)
        time.sleep(0.2)


def check_alive(running: list[tuple[Program, subprocess.Popen[bytes]]], var_dir: Path) -> None:
    """Raise SetupError when a part has ended, KeyboardInterrupt when the end was asked for."""
    if stopping.is_set():
        raise KeyboardInterrupt
    for program, process in running:
        if process.poll() is not None:
            log = var_dir / "log" / program.log
            raise SetupError(f"{program.name} s’est arrêté\u00a0: {last_line(log)} (voir {log}).")


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the processes, all at once, and whatever does not end in time by force."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def fresh_log(var_dir: Path, name: str) -> Path:
    """Return the file of a new log; the one of the last start is kept beside it."""
    log = var_dir / "log" / name
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    return log


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty: of a traceback, what went wrong."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return EXCEPTION_NAME.sub("", lines[-1]).rstrip(".") if lines else "sans dire pourquoi"


def _end_with_parent() -> None:
    """Ask Linux to end this child when the launcher is killed, so that nothing keeps the port."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
