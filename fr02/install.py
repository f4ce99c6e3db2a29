"""Install what FR02 needs into its Python environment and beside it: `python3 -m fr02.install [--dev]`.

Runs on the machine's own Python 3.11 or later, before anything else is there: standard library only. What was
installed is remembered by the contents of the requirement files, so that the next start has nothing to do.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from fr02.host import INTERRUPTED, SetupError, locked, say

BASE_DIR = Path(__file__).resolve().parent.parent
RUN = ["requirements.txt"]
DEV = ["requirements.txt", "requirements-dev.txt"]
CHROMIUM_NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]


def main() -> None:
    """Prepare the environment to run FR02, or with `--dev` to test it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--venv", type=Path, default=Path(".venv"))
    parser.add_argument("--dev", action="store_true")
    options = parser.parse_args()
    venv = (BASE_DIR / options.venv).absolute()
    with locked(BASE_DIR / "requirements.txt"):
        ensure_environment(venv)
        ensure_requirements(venv, DEV if options.dev else RUN)
    if subprocess.run([venv / "bin" / "python", "-m", "fr02.node"], cwd=BASE_DIR, check=False).returncode:
        sys.exit(1)
    if options.dev:
        ensure_chromium()


def ensure_environment(venv: Path) -> None:
    """Create the virtual environment, anew when its Python has gone from the machine."""
    python = venv / "bin" / "python"
    if python.exists() and not _run([str(python), "-m", "pip", "--version"]).returncode:
        return
    say(f"Création de l’environnement Python dans {venv.name}…")
    made = _run([sys.executable, "-m", "venv", "--clear", str(venv)])
    if made.returncode:
        raise SetupError(
            f"L’environnement Python n’a pas pu être créé\u00a0: {_last_line(made.stdout)} "
            "(sous Debian et Ubuntu, installez le paquet python3-venv)."
        )


def ensure_requirements(venv: Path, files: list[str]) -> None:
    """Install the requirement files with pip, unless these very contents were installed before."""
    digest = hashlib.sha256(b"".join((BASE_DIR / name).read_bytes() for name in files)).hexdigest()
    stamp = venv / f"fr02-{files[-1]}.sha256"
    if stamp.exists() and stamp.read_text() == digest:
        return
    say(f"Installation des paquets Python de {files[-1]} (environ une minute la première fois)…")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    process = subprocess.Popen(
        [*pip, "--progress-bar", "off", "-r", files[-1]],
        cwd=BASE_DIR,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        reason = _follow(process)
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if reason:
        raise SetupError(f"pip n’a pas pu installer {files[-1]}\u00a0: {reason}")
    stamp.write_text(digest)


def ensure_chromium() -> None:
    """Install Chromium for the tests of the pages when no Chromium or Chrome is there and root asks."""
    if find_chromium():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(
            "Les tests des pages demandent Chromium\u00a0: "
            "installez-le (par exemple sudo apt-get install chromium) puis relancez make test."
        )
    say("Installation de Chromium pour les tests…")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", "chromium"]):
        done = _run(["apt-get", *arguments], environment)
        if done.returncode:
            raise SetupError(f"Chromium n’a pas pu être installé\u00a0: {_last_line(done.stdout)}")


def find_chromium() -> str | None:
    """Return the path of the machine's Chromium or Chrome, under whichever name it goes."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


def _run(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _follow(process: subprocess.Popen[str]) -> str:
    """Show on the terminal which package pip is at. Return the reason when it failed, else nothing."""
    assert process.stdout is not None
    last, error = "", ""
    for line in process.stdout:
        last = line.strip() or last
        error = error or (last if last.startswith("ERROR:") else "")
        if line.startswith(("Collecting ", "Downloading ", "Installing ")) and sys.stderr.isatty():
            print(f"\r\033[K  {last[:70]}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return (error or last or "raison inconnue") if process.wait() else ""


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1].strip() if lines else "raison inconnue"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("\nInstallation interrompue. Relancez la commande\u00a0: elle reprendra.")
        sys.exit(INTERRUPTED)
