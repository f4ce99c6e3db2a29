"""`GET /api/v1/account/credit` and `/account/usage`: what an account has, and what it used it for."""

import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.services import create_api_key
from billing import ledger
from billing.services import Usage, hold_credit, settle_hold
from tests.billing.helpers import EURO, buy

pytestmark = pytest.mark.django_db(transaction=True)


def spoken(user: User, characters: int, **usage: object) -> None:
    hold = hold_credit(user_id=user.pk, amount_micros=characters * 5, life_s=60)
    settle_hold(
        hold_id=hold.pk,
        amount_micros=characters * 5,
        source_type="generation",
        source_id=uuid.uuid4().hex,
        usage=Usage(engine="kokoro", characters=characters, **usage),  # type: ignore[arg-type]
    )


def headers(user: User) -> dict[str, str]:
    return {"X-API-Key": create_api_key(user=user, name="Essai")[1]}


@pytest.mark.parametrize("slash", ["", "/"])
def test_credit(alice: User, slash: str) -> None:
    buy(alice, EURO)
    ledger.grant_credit(user_id=alice.pk, amount_micros=500, reason="Offert")
    hold_credit(user_id=alice.pk, amount_micros=300, life_s=60)
    answer = Client().get(f"/api/v1/account/credit{slash}", headers=headers(alice))
    assert answer.json() == {
        "balance_micros": EURO + 500,
        "held_micros": 300,
        "available_micros": EURO + 200,
        "granted_micros": 500,
        "currency": "EUR",
    }


def test_usage_by_day_key_and_voice(alice: User, bob: User) -> None:
    for user in (alice, bob):
        buy(user, EURO)
    key, raw = create_api_key(user=alice, name="Site web")
    spoken(alice, 100, api_key_id=key.pk, voice_id="a" * 32, voice_title="Ancien titre")
    spoken(alice, 20, api_key_id=key.pk, voice_id="a" * 32, voice_title="Léa")
    spoken(alice, 3, voice_id="b" * 32, voice_title="Paul")
    spoken(bob, 1_000)

    def ask(group_by: str) -> dict:
        return Client().get(f"/api/v1/account/usage?group_by={group_by}", headers={"X-API-Key": raw}).json()

    today = timezone.localdate().isoformat()
    assert ask("day")["usage"] == [{"day": today, "requests": 3, "characters": 123, "cost_micros": 615}]
    assert ask("key")["usage"] == [
        {"api_key_id": str(key.pk), "name": "Site web", "requests": 2, "characters": 120, "cost_micros": 600},
        {"api_key_id": None, "name": "Portail", "requests": 1, "characters": 3, "cost_micros": 15},
    ]
    by_voice = ask("voice")
    assert [(row["title"], row["characters"]) for row in by_voice["usage"]] == [("Léa", 120), ("Paul", 3)]
    assert by_voice["totals"] == {"requests": 3, "characters": 123, "cost_micros": 615}


def test_usage_of_another_period(alice: User) -> None:
    buy(alice, EURO)
    spoken(alice, 100)
    yesterday = (timezone.localdate() - timedelta(days=1)).isoformat()
    answer = Client().get(f"/api/v1/account/usage?from={yesterday}&to={yesterday}", headers=headers(alice))
    assert answer.json()["usage"] == []
    assert answer.json()["from"] == yesterday


def test_an_empty_grouping_is_the_usual_one(alice: User) -> None:
    answer = Client().get("/api/v1/account/usage?from=&to=&group_by=", headers=headers(alice))
    assert (answer.status_code, answer.json()["group_by"]) == (200, "day")


@pytest.mark.parametrize(
    "query", ["group_by=colour", "from=hier", "to=2026-13-01", "from=2026-02-02&to=2026-02-01"]
)
def test_odd_questions(alice: User, query: str) -> None:
    answer = Client().get(f"/api/v1/account/usage?{query}", headers=headers(alice))
    assert answer.status_code == 400
    assert answer.json()["errors"]


@pytest.mark.parametrize("path", ["/api/v1/account/credit", "/api/v1/account/usage"])
def test_nobody(path: str) -> None:
    assert Client().get(path).status_code == 401
