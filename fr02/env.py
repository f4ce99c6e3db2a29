"""Read settings from the environment, and refuse odd values instead of guessing."""

import os
import secrets
from pathlib import Path

from fr02.host import SetupError

BASE_DIR = Path(__file__).resolve().parent.parent


def text(name: str, default: str = "") -> str:
    """Return the variable as it is, without surrounding spaces."""
    return os.environ.get(name, default).strip()


def boolean(name: str, default: bool) -> bool:
    """Return the variable as a boolean. Only True and False are understood; SetupError for anything else."""
    value = text(name) or str(default)
    if value not in ("True", "False"):
        raise SetupError(f"{name} doit valoir True ou False, pas «\u202f{value}\u202f».")
    return value == "True"


def integer(name: str, default: int) -> int:
    """Return the variable as an integer. Raises SetupError."""
    value = text(name) or str(default)
    try:
        return int(value)
    except ValueError:
        raise SetupError(f"{name} doit être un nombre entier, pas «\u202f{value}\u202f».") from None


def number(name: str, default: float) -> float:
    """Return the variable as a decimal number, written with a dot. Raises SetupError."""
    value = text(name) or str(default)
    try:
        return float(value)
    except ValueError:
        raise SetupError(f"{name} doit être un nombre, pas «\u202f{value}\u202f».") from None


def words(name: str, default: str = "") -> list[str]:
    """Return the variable split at its commas."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def path(name: str, default: Path) -> Path:
    """Return the variable as an absolute path."""
    return Path(text(name) or default).expanduser().resolve()


def secret(name: str, file: Path) -> str:
    """Return the variable, else the secret kept in `file`, made at the first start.

    A clone works at once with a secret of its own; an operator gives the variable instead, so that
    several machines share it.
    """
    if value := text(name):
        return value
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        pass
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text().strip()
    with os.fdopen(handle, "w") as out:
        out.write(secrets.token_urlsafe(50))
    return file.read_text().strip()


def load(file: Path) -> None:
    """Add the variables of a file of NAME=value lines (`.env.example` lists them) to the environment.

    What the environment says already stays: the file holds what is the same at every start.
    """
    if not file.is_file():
        return
    for line in file.read_text().splitlines():
        name, separator, value = (part.strip() for part in line.partition("="))
        if not line.strip() or name.startswith("#"):
            continue
        if not separator or not name.isidentifier():
            raise SetupError(
                f"{file.name}\u00a0: chaque ligne doit être NOM=valeur, pas «\u202f{line}\u202f»."
            )
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        os.environ.setdefault(name, value)


if env_file := text("FR02_ENV_FILE", ".env"):
    load(BASE_DIR / env_file)
