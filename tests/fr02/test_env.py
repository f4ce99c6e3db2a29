"""The settings' variables: from the environment, else from the file `.env`."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fr02 import env
from fr02.host import SetupError
from tests.fr02.machine import BASE_DIR, run


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("FR02_A", "FR02_B"):
        # Set first, so that what the file adds is taken away again.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path / ".env"


def test_it_works(file: Path) -> None:
    file.write_text('# FR02_C=1\n\nFR02_A = "é = x"\nFR02_B=2 \n')

    env.load(file)

    assert (env.text("FR02_A"), env.integer("FR02_B", 0), env.text("FR02_C")) == ("é = x", 2, "")


def test_environment_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FR02_A", "environment")
    file.write_text("FR02_A=file")

    env.load(file)

    assert env.text("FR02_A") == "environment"


def test_no_file(file: Path) -> None:
    env.load(file)

    assert env.text("FR02_A") == ""


@pytest.mark.parametrize("line", ["FR02_A", "export FR02_A=1", "=1"])
def test_line_that_says_nothing(file: Path, line: str) -> None:
    file.write_text(line)

    with pytest.raises(SetupError, match="chaque ligne doit être NOM=valeur"):
        env.load(file)


@pytest.mark.parametrize("value", ["1", "true", "oui"])
def test_boolean_is_not_guessed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FR02_A", value)

    with pytest.raises(SetupError, match=f"^FR02_A doit valoir True ou False, pas «\u202f{value}\u202f».$"):
        env.boolean("FR02_A", False)


@pytest.mark.parametrize(
    ("read", "value"), [(env.integer, "1,5"), (env.number, "1,5"), (env.integer, "mille")]
)
def test_number_is_not_guessed(
    monkeypatch: pytest.MonkeyPatch, read: Callable[..., float], value: str
) -> None:
    monkeypatch.setenv("FR02_A", value)

    with pytest.raises(SetupError, match=f"^FR02_A doit être un nombre.*, pas «\u202f{value}\u202f».$"):
        read("FR02_A", 0)


def test_odd_value_is_one_sentence_wherever_the_settings_are_read() -> None:
    for command in (["manage.py", "check"], ["-m", "fr02.serve", "fr02.asgi:application"]):
        done = run([sys.executable, *command], DEBUG="1")

        assert done.returncode == 1
        assert done.stderr.strip().removeprefix("FR02\u00a0: ") == (
            "DEBUG doit valoir True ou False, pas «\u202f1\u202f»."
        )


def test_example_names_every_variable_of_the_settings() -> None:
    example = (BASE_DIR / ".env.example").read_text()
    settings = (BASE_DIR / "fr02" / "settings.py").read_text()
    named = set(re.findall(r'env\.\w+\(\s*"(\w+)"', settings))

    assert "DATABASE_URL" in named
    assert {name for name in named if f"# {name}=" not in example} == {"TEST_DATABASE_NAME"}
