"""The operator hears of what only the operator can mend, and hears when it is over."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from voices.alarms import raise_alarm, resolve_alarms
from voices.fish import FishConcurrency, FishInvalid, FishOutOfCredit, FishUnauthorized
from voices.models import UpstreamAlarm

pytestmark = pytest.mark.django_db


def test_it_works(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        raise_alarm(error=FishOutOfCredit("Insufficient API credit", status=402))
    alarm = UpstreamAlarm.objects.get()
    assert (alarm.kind, alarm.count, alarm.detail) == ("out_of_credit", 3, "Insufficient API credit")
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3


def test_each_kind_is_an_alarm_of_its_own() -> None:
    raise_alarm(error=FishUnauthorized("Invalid Token", status=401))
    raise_alarm(error=FishConcurrency("too many", status=429))
    assert UpstreamAlarm.objects.count() == 2


def test_our_own_refusals_are_no_alarm() -> None:
    raise_alarm(error=FishConcurrency("every upstream slot of the platform is taken"))
    raise_alarm(error=FishInvalid("no", status=400))
    assert UpstreamAlarm.objects.count() == 0


def test_it_is_over_when_it_was_quiet_and_something_worked() -> None:
    raise_alarm(error=FishUnauthorized("Invalid Token", status=401))
    assert resolve_alarms() == 0
    UpstreamAlarm.objects.update(last_at=timezone.now() - timedelta(minutes=2))
    assert resolve_alarms() == 1
    raise_alarm(error=FishUnauthorized("Invalid Token", status=401))
    assert UpstreamAlarm.objects.filter(resolved_at=None).count() == 1
    assert UpstreamAlarm.objects.count() == 2


def test_the_operator_sees_it_on_every_page(client: Client) -> None:
    client.force_login(User.objects.create_superuser("operateur@exemple.fr", "un mot de passe solide"))
    assert "crédit Fish Audio épuisé" not in client.get("/admin/").content.decode()
    raise_alarm(error=FishOutOfCredit("<b>Insufficient</b>", status=402))
    first = client.get("/admin/").content.decode()
    assert "crédit Fish Audio épuisé (&lt;b&gt;Insufficient&lt;/b&gt;). Rechargez" in first
    assert "crédit Fish Audio épuisé" in client.get("/admin/tts/generation/").content.decode()
    alarms = client.get("/admin/voices/upstreamalarm/").content.decode()
    assert "&lt;b&gt;Insufficient&lt;/b&gt;" in alarms


def test_nobody_else_sees_it(client: Client) -> None:
    raise_alarm(error=FishOutOfCredit("Insufficient", status=402))
    assert "épuisé" not in client.get("/admin/", follow=True).content.decode()
