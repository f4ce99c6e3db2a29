"""What the set-up tests share: folders and accounts of a machine that is not prepared for FR02."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent.parent
# An account without home or rights, which every machine has.
ORDINARY_USER = "nobody"
DAC_READ_SEARCH = 2


@contextmanager
def open_folder(name: str = "un dossier") -> Iterator[Path]:
    """Lend a folder with a space in its path that every account can reach; pytest's own are closed."""
    root = Path(tempfile.mkdtemp(prefix="fr02 essai "))
    root.chmod(0o755)
    folder = root / name
    folder.mkdir()
    try:
        yield folder
    finally:
        cluster = folder / "postgres"
        if cluster.is_symlink():
            shutil.rmtree(cluster.resolve(), ignore_errors=True)
        shutil.rmtree(root)


def as_ordinary_user(command: list[str], folder: Path) -> list[str]:
    """Return the command as an ordinary user runs it in a folder of their own; unchanged when we are one.

    The right to read everything stands in for a checkout of theirs, since ours may be closed to them.
    """
    if os.geteuid() != 0:
        return command
    entry = pwd.getpwnam(ORDINARY_USER)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    account = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    if _has_capability(DAC_READ_SEARCH):
        account += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", *account, *command]


def python(code: str, *arguments: str) -> list[str]:
    """Return the command that runs the code in this Python environment."""
    return [sys.executable, "-c", code, *arguments]


def run(command: list[str], **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout with these environment variables; None takes one away."""
    return subprocess.run(
        command,
        cwd=BASE_DIR,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment(**variables: str | None) -> dict[str, str]:
    """Return this process's environment, changed; without what would point it at another FR02."""
    changed: dict[str, str | None] = dict.fromkeys(("DATABASE_URL", "DJANGO_SETTINGS_MODULE"))
    changed |= {"FR02_ENV_FILE": "", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    kept = {name: value for name, value in os.environ.items() if name not in changed}
    return kept | {name: value for name, value in changed.items() if value is not None}


def _has_capability(number: int) -> bool:
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> number & 1)
