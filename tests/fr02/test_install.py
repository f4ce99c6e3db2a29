"""`python -m fr02.install`: once, twice, without what it asks for, and broken off by Ctrl-C."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fr02 import install
from fr02.host import SetupError
from tests.fr02.machine import BASE_DIR, as_ordinary_user, environment, open_folder, python, run

WHEEL = "essai-1.0-py3-none-any.whl"
# A package whose building tells that it has begun, and never ends.
SLOW_PROJECT = '[build-system]\nrequires = []\nbuild-backend = "slow"\nbackend-path = ["."]\n'
SLOW_BACKEND = """
import pathlib, time
def get_requires_for_build_wheel(settings=None):
    pathlib.Path(__file__).with_name("begun").touch()
    time.sleep(600)
"""
START_SECONDS = 60


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """Lend a checkout that asks for one package, which lies in it, and for nothing from npm."""
    with open_folder("mes projets") as folder:
        ours = shutil.ignore_patterns("__pycache__")
        shutil.copytree(BASE_DIR / "fr02", folder / "fr02", ignore=ours)
        with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
            wheel.writestr("essai.py", "WORD = 'oui'\n")
            about = "essai-1.0.dist-info"
            wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: essai\nVersion: 1.0\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
        lock = folder / "package-lock.json"
        lock.write_text("{}")
        (folder / "node_modules").mkdir()
        (folder / "node_modules" / ".fr02-installed").write_text(sha256(lock))
        yield folder


@pytest.fixture(autouse=True)
def _requirements(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text(f"./{WHEEL}\n")


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def start(checkout: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=checkout,
        env=environment(PIP_NO_INDEX="1", PYTHONPATH=None, **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def installed(checkout: Path) -> tuple[int, str]:
    """Install, and return the status and what was said."""
    process = start(checkout, "-m", "fr02.install")
    _output, said = process.communicate(timeout=120)
    return process.returncode, said


def press_ctrl_c(process: subprocess.Popen[str], begun: Path) -> str:
    """Send what the terminal sends to every program of a command, once the file is there; return what was said."""
    deadline = time.monotonic() + START_SECONDS
    while not begun.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _output, said = process.communicate(timeout=30)
    return said


def test_it_works(checkout: Path) -> None:
    status, said = installed(checkout)
    assert status == 0, said
    assert "Installation des paquets Python de requirements.txt" in said
    ours = [str(checkout / ".venv" / "bin" / "python"), "-c", "import essai; print(essai.WORD)"]
    assert subprocess.run(ours, capture_output=True, text=True, check=True).stdout == "oui\n"
    assert installed(checkout) == (0, "")


def test_a_package_that_is_not_to_be_had(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("introuvable-nulle-part==1.0\n")
    status, said = installed(checkout)
    assert status == 1
    assert said.splitlines()[-1].startswith("pip n’a pas pu installer requirements.txt\u00a0: ERROR: ")
    assert "Traceback" not in said


def test_ctrl_c_during_pip(checkout: Path) -> None:
    project = checkout / "lent"
    project.mkdir()
    (project / "pyproject.toml").write_text(SLOW_PROJECT)
    (project / "slow.py").write_text(SLOW_BACKEND)
    (checkout / "requirements.txt").write_text("./lent\n")
    process = start(checkout, "-m", "fr02.install")
    said = press_ctrl_c(process, project / "begun")
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Installation interrompue. Relancez la commande\u00a0: elle reprendra."
    assert "Traceback" not in said


def test_ctrl_c_during_npm(checkout: Path, tmp_path: Path) -> None:
    for name in ("npm", "node"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\ntouch "{tmp_path}/begun"\nexec sleep 600\n')
        program.chmod(0o755)
    (checkout / "package-lock.json").write_text("{ }")
    process = start(checkout, "-m", "fr02.install", PATH=f"{tmp_path}:{os.environ['PATH']}")
    said = press_ctrl_c(process, tmp_path / "begun")
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("Installation interrompue.")
    assert "Traceback" not in said


@pytest.mark.parametrize("name", install.CHROMIUM_NAMES)
def test_any_chromium_will_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install.find_chromium() is None
    program = tmp_path / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert install.find_chromium() == str(program)
    install.ensure_chromium()


def test_no_chromium_and_no_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="Les tests des pages demandent Chromium"):
        install.ensure_chromium()


def test_the_browser_of_the_tests_opens_for_an_ordinary_user() -> None:
    code = """
from tests.browser import open_browser
with open_browser() as browser:
    page = browser.new_page()
    page.goto("data:text/html,<h1>Oui</h1>")
    print(page.inner_text("h1"))
"""
    with open_folder() as home:
        done = run(as_ordinary_user(python(code), home), HOME=str(home))
    assert done.stdout == "Oui\n", done.stderr
