"""The system checks: a set-up that would fail its customers does not start."""

import sys

import pytest
from django.core.checks import run_checks

from tests.fr02.machine import run

GOOD = {
    "IS_PRODUCTION": True,
    "DEBUG": False,
    "SECRET_KEY": "s" * 32,
    "MEDIA_SIGNING_KEY": "m" * 32,
    "METRICS_TOKEN": "",
    "API_KEY_PEPPERS": {1: "p" * 32},
    "SITE_URL": "https://fr02.example",
    "STRIPE_SECRET_KEY": "sk_live_x",
    "STRIPE_API_BASE": "",
    "EMAIL_HOST": "smtp.example",
    "KOKORO_DEFAULT_VOICE": "ff_siwis",
}
FAULTS = [
    ("fr02.E001", {"SECRET_KEY": "s" * 31}),
    ("fr02.E001", {"MEDIA_SIGNING_KEY": ""}),
    ("fr02.E001", {"METRICS_TOKEN": "court"}),
    ("fr02.E002", {"API_KEY_PEPPERS": {1: "p" * 32, 2: "p" * 31}}),
    ("fr02.E003", {"DEBUG": True}),
    ("fr02.E004", {"SITE_URL": "http://fr02.example"}),
    ("fr02.E005", {"STRIPE_API_BASE": "http://localhost:1"}),
    ("fr02.E006", {"EMAIL_HOST": ""}),
    ("fr02.E007", {"KOKORO_DEFAULT_VOICE": "ff_swis"}),
]
ON_A_LAPTOP_TOO = {"fr02.E001", "fr02.E002", "fr02.E007"}


def found(settings, **changes):
    for name, value in (GOOD | changes).items():
        setattr(settings, name, value)
    return {error.id for error in run_checks() if error.id.startswith("fr02.")}


def test_it_works(settings):
    assert found(settings) == set()


@pytest.mark.parametrize(("code", "changes"), FAULTS)
def test_a_fault_of_production(settings, code, changes):
    assert found(settings, **changes) == {code}


@pytest.mark.parametrize(("code", "changes"), FAULTS)
def test_the_same_on_a_laptop(settings, code, changes):
    assert found(settings, **changes, IS_PRODUCTION=False) == {code} & ON_A_LAPTOP_TOO


def test_a_default_voice_that_is_misspelt_stops_the_command():
    done = run([sys.executable, "manage.py", "check"], KOKORO_DEFAULT_VOICE="ff_swis")
    assert done.returncode == 1
    assert "KOKORO_DEFAULT_VOICE nomme une voix inconnue, «\u202fff_swis\u202f»." in done.stderr
