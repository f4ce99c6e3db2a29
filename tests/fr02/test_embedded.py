"""The embedded PostgreSQL: shared by processes, stopped by the last one, found again after any end."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.fr02.machine import BASE_DIR, as_ordinary_user, environment, open_folder, python, run

QUERY = """
import sys, psycopg
from pathlib import Path
from fr02 import embedded
with psycopg.connect(embedded.database_url(Path(sys.argv[1]))) as connection:
    for statement in sys.argv[2:]:
        cursor = connection.execute(statement)
        print(cursor.fetchone()[0] if cursor.description else cursor.statusmessage, flush=True)
"""
# Says its address when it is there, and stays until its input ends.
USER = """
import sys
from pathlib import Path
from fr02 import embedded
print(embedded.database_url(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def var_dir() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder
        deadline = time.monotonic() + 10
        while server_of(folder) is not None and time.monotonic() < deadline:
            time.sleep(0.05)


def query(var_dir: Path, *statements: str) -> str:
    done = run(python(QUERY, str(var_dir), *statements))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def server_of(var_dir: Path) -> psutil.Process | None:
    """Return the living server of the cluster."""
    try:
        pid = int((var_dir / "postgres" / "postmaster.pid").read_text().split()[0])
        process = psutil.Process(pid)
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


@pytest.fixture
def join(var_dir: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start processes that use the cluster until their input is closed."""
    users: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = python(USER, str(var_dir))
        user = subprocess.Popen(command, cwd=BASE_DIR, env=environment(), stdin=pipe, stdout=pipe, text=True)
        users.append(user)
        assert user.stdout is not None
        assert user.stdout.readline().startswith("postgresql://")
        return user

    yield start
    for user in users:
        leave(user)


def leave(user: subprocess.Popen[str]) -> None:
    user.communicate(timeout=30)


def test_it_works(var_dir: Path) -> None:
    answer = query(
        var_dir,
        "CREATE EXTENSION pg_trgm",
        "CREATE EXTENSION unaccent",
        "SELECT unaccent(lower('ÉTÉ'))",
        "SELECT to_tsvector('simple', 'l’été')::text",
        "SELECT current_setting('listen_addresses') || current_setting('TimeZone')",
        "SELECT current_setting('fsync') || current_setting('synchronous_commit')",
    )

    assert answer.splitlines() == ["CREATE EXTENSION"] * 2 + ["ete", "'l':1 'été':2", "UTC", "onon"]
    assert server_of(var_dir) is None


def test_data_is_found_again(var_dir: Path) -> None:
    query(var_dir, "CREATE TABLE kept AS SELECT 7 AS value")

    assert query(var_dir, "SELECT value FROM kept") == "7"


def test_last_user_stops_it(var_dir: Path, join: Callable[[], subprocess.Popen[str]]) -> None:
    first, second = join(), join()

    leave(first)
    assert query(var_dir, "SELECT 1") == "1"
    assert server_of(var_dir) is not None
    leave(second)

    assert server_of(var_dir) is None


def test_users_that_start_together_share_one_server(var_dir: Path) -> None:
    pipe = subprocess.PIPE
    command = python(QUERY, str(var_dir), "SELECT system_identifier FROM pg_control_system()")
    users = [
        subprocess.Popen(command, cwd=BASE_DIR, env=environment(), stdout=pipe, stderr=pipe, text=True)
        for _ in range(3)
    ]

    answers = [user.communicate(timeout=60) for user in users]

    assert len({output for output, _ in answers}) == 1, answers
    assert [user.returncode for user in users] == [0, 0, 0]


def test_killed_user_does_not_keep_it(var_dir: Path, join: Callable[[], subprocess.Popen[str]]) -> None:
    user = join()
    user.kill()
    user.wait()
    assert server_of(var_dir) is not None

    assert query(var_dir, "SELECT 1") == "1"

    assert server_of(var_dir) is None


def test_killed_server_recovers_its_data(var_dir: Path, join: Callable[[], subprocess.Popen[str]]) -> None:
    query(var_dir, "CREATE TABLE kept AS SELECT 7 AS value")
    user = join()
    server = server_of(var_dir)
    assert server is not None
    user.kill()
    server.send_signal(signal.SIGKILL)
    user.wait()

    assert query(var_dir, "SELECT value FROM kept") == "7"


def test_process_id_in_use_again_is_not_mistaken_for_the_server(var_dir: Path) -> None:
    query(var_dir, "SELECT 1")
    cluster = (var_dir / "postgres").resolve()
    lines = [str(os.getpid()), str(cluster), "1700000000", "5432", str(cluster), "", "1 2", "ready", ""]
    (cluster / "postmaster.pid").write_text("\n".join(lines))

    assert query(var_dir, "SELECT 1") == "1"


def test_folder_with_a_very_long_name() -> None:
    with open_folder("é" * 100) as var_dir:
        assert query(var_dir, "SELECT 1") == "1"
        assert server_of(var_dir) is None


def test_variables_of_another_postgresql_change_nothing(var_dir: Path) -> None:
    done = run(python(QUERY, str(var_dir), "SELECT 1"), PGPORT="1", PGHOST="nowhere", PGDATA="/nowhere")

    assert (done.stdout.strip(), done.returncode) == ("1", 0), done.stderr


def test_ordinary_user(var_dir: Path) -> None:
    done = run(as_ordinary_user(python(QUERY, str(var_dir), "SELECT 1"), var_dir), HOME="/nonexistent")

    assert (done.stdout.strip(), done.stderr, done.returncode) == ("1", "", 0)
    assert server_of(var_dir) is None


def test_closed_parent_folder_stays_closed() -> None:
    with open_folder() as var_dir:
        var_dir.parent.chmod(0o700)

        assert query(var_dir, "SELECT 1") == "1"
        assert query(var_dir, "SELECT 1") == "1"

        assert var_dir.parent.stat().st_mode & 0o777 == 0o700


def test_folder_that_cannot_be_written(var_dir: Path) -> None:
    place = var_dir / "file"
    place.write_text("")

    done = run(python(QUERY, str(place / "var"), "SELECT 1"))

    assert done.returncode == 1
    assert done.stderr.startswith("Impossible d’écrire dans ")
    assert len(done.stderr.splitlines()) == 1


def test_damaged_cluster(var_dir: Path, tmp_path: Path) -> None:
    query(var_dir, "SELECT 1")
    (var_dir / "postgres" / "global" / "pg_control").write_bytes(b"")

    done = run(python(QUERY, str(var_dir), "SELECT 1"), TMPDIR=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr.startswith("PostgreSQL n’a pas démarré\u00a0: ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
