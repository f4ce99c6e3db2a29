"""`make run`: up from a fresh clone, down with Ctrl-C, and one sentence for whatever is wrong."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.fr02.machine import BASE_DIR, as_ordinary_user, environment, open_folder, run

READY = "Ctrl-C arrête tout."
START_SECONDS = 120
STOP_SECONDS = 60
# What running and testing leave in a checkout; a clone has none of it.
MADE = (".git", ".env", ".venv", "var", "node_modules", "__pycache__", ".*_cache", ".hypothesis")


@dataclass
class Run:
    """A running `make run`: its process, its port, and the file with what it says."""

    process: subprocess.Popen[bytes]
    port: int
    output: Path

    def said(self) -> str:
        return self.output.read_text()

    def parts(self) -> list[psutil.Process]:
        """Return what was started: the launcher, its children, and the server of the embedded cluster."""
        return [
            part for part in psutil.Process(self.process.pid).children(recursive=True) if part.name() != "sh"
        ]

    def launcher(self) -> psutil.Process:
        return next(part for part in self.parts() if "fr02.run" in part.cmdline())

    def part(self, word: str) -> psutil.Process:
        return next(part for part in self.parts() if word in part.cmdline())

    def wait(self) -> int:
        return self.process.wait(STOP_SECONDS)


@pytest.fixture(scope="module")
def clone() -> Iterator[Path]:
    """Lend a fresh clone below a path with a space: the files of the project, and nothing made from them."""
    with open_folder("mes projets") as folder:
        shutil.copytree(BASE_DIR, folder / "fr02", ignore=shutil.ignore_patterns(*MADE))
        yield folder / "fr02"
        _forget_cluster(folder / "fr02" / "var")


def _forget_cluster(var_dir: Path) -> None:
    if (var_dir / "postgres").is_symlink():
        shutil.rmtree((var_dir / "postgres").resolve())


@pytest.fixture
def make_run(clone: Path, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start `make run` in the clone and wait for its welcome; end what a failed test leaves."""
    started: list[Run] = []

    def start(wrap: Callable[[list[str]], list[str]] = lambda command: command, **variables: str) -> Run:
        port = free_port()
        command = wrap(["make", "--silent", "run", f"PORT={port}", f"VENV={sys.prefix}"])
        output = tmp_path / f"{port}.txt"
        bare: dict[str, str | None] = dict.fromkeys(
            ("FR02_VAR_DIR", "KOKORO_MODEL_PATH", "KOKORO_VOICES_DIR")
        )
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=clone,
                env=environment(**bare | variables),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Run(process, port, output))
        deadline = time.monotonic() + START_SECONDS
        while READY not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGTERM)
            one.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fails(*arguments: str, **variables: str | None) -> str:
    """Run the launcher where it cannot start; return its one sentence."""
    with open_folder() as var_dir:
        port = variables.pop("PORT", str(free_port()))
        done = run([sys.executable, "-m", "fr02.run"], PORT=port, FR02_VAR_DIR=str(var_dir), **variables)
    lines = [line for line in done.stderr.splitlines() if not line.endswith("…")]
    assert done.returncode == 1
    assert len(lines) == 1, done.stderr
    return lines[0]


def assert_all_gone(parts: list[psutil.Process], port: int) -> None:
    _gone, alive = psutil.wait_procs(parts, timeout=STOP_SECONDS)
    assert [part for part in alive if part.status() != psutil.STATUS_ZOMBIE] == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


def server_of(var_dir: Path) -> psutil.Process:
    return psutil.Process(int((var_dir / "postgres" / "postmaster.pid").read_text().split()[0]))


def test_it_works_from_a_fresh_clone(make_run: Callable[..., Run], clone: Path) -> None:
    fr02 = make_run()
    said = fr02.said()
    address = f"http://localhost:{fr02.port}"
    parts = [*fr02.parts(), server_of(clone / "var")]

    assert f"{address}/developpeurs/" in said
    assert re.search(r"^Compte de démonstration\u00a0: \S+@\S+, mot de passe \S+$", said, re.MULTILINE)
    (key,) = re.findall(r"^FR02_API_KEY=(fr02_live_\w+)$", said, re.MULTILINE)
    voices = httpx.get(f"{address}/api/v1/voices/", headers={"X-API-Key": key})
    assert (voices.status_code, len(voices.json()["voices"])) == (200, 1)
    assert httpx.get(f"{address}/developpeurs/").status_code == 200
    assert len(parts) >= 4

    os.killpg(fr02.process.pid, signal.SIGINT)

    fr02.wait()
    assert_all_gone(parts, fr02.port)
    assert "Traceback" not in fr02.said()


def test_ctrl_c_where_a_script_ignores_it(make_run: Callable[..., Run]) -> None:
    """A shell starts what it leaves in the background with SIGINT ignored."""
    fr02 = make_run(lambda command: ["sh", "-c", f"trap '' INT; exec {shlex.join(command)}"])
    parts = fr02.parts()
    os.killpg(fr02.process.pid, signal.SIGINT)
    fr02.wait()
    assert_all_gone(parts, fr02.port)


def test_second_start_finds_the_data_after_any_end(make_run: Callable[..., Run], clone: Path) -> None:
    first = make_run()
    parts = [*first.parts(), server_of(clone / "var")]
    first.launcher().kill()
    first.wait()
    # The cluster stays for the next start to find; what served must not keep the port.
    assert_all_gone(parts[:-1], first.port)

    second = make_run()
    said = second.said()

    assert "FR02_API_KEY=" not in said
    assert "Sa clé API a été affichée au premier démarrage" in said
    parts = [*second.parts(), server_of(clone / "var")]
    launcher = second.launcher()
    launcher.terminate()
    assert second.wait() == 0
    assert_all_gone(parts, second.port)


def test_part_that_ends_takes_everything_down(make_run: Callable[..., Run], clone: Path) -> None:
    fr02 = make_run()
    parts = [*fr02.parts(), server_of(clone / "var")]

    fr02.part("procrastinate").kill()

    assert fr02.wait() != 0
    assert "Le travail de fond s’est arrêté\u00a0: " in fr02.said()
    assert_all_gone(parts, fr02.port)
    assert "Traceback" not in fr02.said()


def test_ordinary_user(make_run: Callable[..., Run], clone: Path) -> None:
    with open_folder("autre compte") as home:
        theirs = shutil.copytree(clone, home / "fr02", ignore=shutil.ignore_patterns("var"), symlinks=True)
        for path in (theirs, *theirs.rglob("*")):
            as_ordinary_user([], path)
        command = make_run(
            lambda command: as_ordinary_user([*command, "-C", str(theirs)], home),
            HOME=str(home),
            KOKORO_MODEL_PATH=str(clone / "var" / "kokoro" / "model.onnx"),
            KOKORO_VOICES_DIR=str(clone / "var" / "kokoro" / "voices"),
        )
        parts = [*command.parts(), server_of(theirs / "var")]

        assert "FR02_API_KEY=fr02_live_" in command.said()
        os.killpg(command.process.pid, signal.SIGTERM)

        command.wait()
        assert_all_gone(parts, command.port)


def test_first_start_that_is_broken_off_still_tells_the_key() -> None:
    with open_folder() as var_dir:
        first = subprocess.Popen(
            [sys.executable, "-m", "fr02.run"],
            cwd=BASE_DIR,
            env=environment(PORT=str(free_port()), FR02_VAR_DIR=str(var_dir)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert first.stderr is not None
        while first.stderr.readline() != "Démarrage du serveur…\n":
            assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        said, errors = first.communicate(timeout=STOP_SECONDS)

    assert READY not in said
    assert re.search(r"^FR02_API_KEY=fr02_live_\w+$", said, re.MULTILINE)
    assert ", mot de passe " in said
    assert "Traceback" not in errors


@pytest.mark.parametrize(("swallowed", "is_said"), [("KeyboardInterrupt", False), ("ValueError", True)])
def test_ctrl_c_in_a_hook_of_a_fork_prints_nothing(swallowed: str, is_said: bool) -> None:
    script = (
        "import os, sys\n"
        "from fr02.run import pass_over_ctrl_c\n"
        "def hook(): raise " + swallowed + "\n"
        "sys.unraisablehook = pass_over_ctrl_c\n"
        "os.register_at_fork(after_in_parent=hook)\n"
        "child = os.fork()\n"
        "os._exit(0) if not child else os.waitpid(child, 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    assert ("Traceback" in done.stderr) == is_said


def test_stand_in_of_fish_audio(make_run: Callable[..., Run], clone: Path) -> None:
    fr02 = make_run(FISH="stand-in")
    stand_in = fr02.part("tests.fish_stand_in")
    parts = [*fr02.parts(), server_of(clone / "var")]

    assert httpx.get(f"http://127.0.0.1:{stand_in.cmdline()[-1]}/model").json()["items"]
    os.killpg(fr02.process.pid, signal.SIGINT)

    fr02.wait()
    assert_all_gone(parts, fr02.port)
    assert "Traceback" not in fr02.said()


def test_stand_in_that_nobody_knows() -> None:
    assert fails(FR02_FISH="autre") == "FISH ne connaît que «\u202fstand-in\u202f», pas «\u202fautre\u202f»."


def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert (
            fails(PORT=str(port))
            == f"Le port {port} est déjà utilisé\u00a0: choisissez-en un autre, make run PORT=8080"
        )


@pytest.mark.parametrize("port", ["0", "65536", "huit mille", "-1", "²"])
def test_port_that_is_none(port: str) -> None:
    assert fails(PORT=port) == f"PORT doit être un nombre de 1 à 65535, pas «\u202f{port}\u202f»."


def test_database_that_does_not_answer() -> None:
    sentence = fails(DATABASE_URL=f"postgresql://fr02:secret@127.0.0.1:{free_port()}/fr02")

    assert sentence.startswith("La base de données de DATABASE_URL ne répond pas\u00a0: ")
    assert "secret" not in sentence


def test_database_address_that_is_none() -> None:
    assert fails(DATABASE_URL="mysql://localhost/fr02").startswith(
        "DATABASE_URL n’est pas une adresse PostgreSQL"
    )


def test_setting_that_is_odd() -> None:
    assert fails(STREAMS_PER_ACCOUNT="mille") == (
        "STREAMS_PER_ACCOUNT doit être un nombre entier, pas «\u202fmille\u202f»."
    )


def test_model_that_is_not_there() -> None:
    sentence = fails(KOKORO_MODEL_PATH="/nowhere/model.onnx")

    assert sentence == "KOKORO_MODEL_PATH désigne /nowhere/model.onnx, qui n’existe pas."


def test_model_that_is_damaged(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(bytes(1000))

    sentence = fails(KOKORO_MODEL_PATH=str(model))

    assert sentence.startswith(f"KOKORO_MODEL_PATH désigne {model}, qui ne peut pas être lu comme modèle")


def test_python_that_is_too_old(clone: Path, tmp_path: Path) -> None:
    for name in ("make", "sh"):
        program = shutil.which(name)
        assert program
        (tmp_path / name).symlink_to(program)
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done = subprocess.run(
        ["make", "--silent", "run"],
        cwd=clone,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("FR02 demande Python 3.11 ou plus récent")
