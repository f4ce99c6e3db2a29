"""What operators can do to money, and what nobody can."""

import uuid
from datetime import timedelta

import pytest
from django.contrib import admin
from django.test import Client
from django.utils import timezone

from accounts.models import User
from billing.models import Entry, Price, TopUp
from billing.services import Usage, hold_credit, settle_hold
from tests.billing.helpers import EURO, account_of, buy, entries_of
from tests.billing.shop import Shop

pytestmark = pytest.mark.django_db(transaction=True)
READ_ONLY = ("account", "entry", "hold", "topup", "refund", "dispute", "autotopup", "stripeevent")


@pytest.fixture
def desk(operator: User) -> Client:
    client = Client()
    client.force_login(operator, "allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_every_list_and_page_opens(desk: Client, alice: User) -> None:
    buy(alice, EURO)
    hold_credit(user_id=alice.pk, amount_micros=100, life_s=60)
    for name in (*READ_ONLY, "price"):
        assert desk.get(f"/admin/billing/{name}/").status_code == 200, name
    account, entry = account_of(alice), Entry.objects.filter(account__user=alice).get()
    assert desk.get(f"/admin/billing/account/{account.pk}/change/").status_code == 200
    assert desk.get(f"/admin/billing/entry/{entry.pk}/change/").status_code == 200
    assert desk.get(f"/admin/billing/account/{account.pk}/ecritures/", follow=True).status_code == 200


@pytest.mark.parametrize("name", READ_ONLY)
def test_nothing_can_be_added_edited_or_deleted(desk: Client, alice: User, name: str) -> None:
    buy(alice, EURO)
    model = admin.site._registry
    manager = next(kept for kept in model if kept._meta.label_lower == f"billing.{name}")._default_manager
    row = manager.first()
    assert desk.get(f"/admin/billing/{name}/add/").status_code == 403
    if row is not None:
        before = manager.filter(pk=row.pk).values().get()
        assert desk.post(f"/admin/billing/{name}/{row.pk}/change/", {"balance_micros": 5}).status_code == 403
        assert desk.post(f"/admin/billing/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
        bulk = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        desk.post(f"/admin/billing/{name}/", bulk)
        assert manager.filter(pk=row.pk).values().get() == before


def test_grant_and_adjust_leave_reason_and_actor(desk: Client, alice: User, operator: User) -> None:
    buy(alice, EURO)
    page = f"/admin/billing/account/{account_of(alice).pk}"
    once = uuid.uuid4().hex
    given = desk.post(f"{page}/offrir/", {"amount": "2,50", "reason": "Geste", "once": once})
    taken = desk.post(f"{page}/ajuster/", {"amount": "-0,40", "reason": "Erreur", "once": uuid.uuid4().hex})
    assert (given.status_code, taken.status_code) == (302, 302)
    assert entries_of(alice, "grant") == [2_500_000]
    assert entries_of(alice, "adjust") == [-400_000]
    for entry in Entry.objects.filter(account__user=alice, kind__in=("grant", "adjust")):
        assert entry.actor == operator
        assert entry.reason in ("Geste", "Erreur")
    again = desk.post(f"{page}/offrir/", {"amount": "2,50", "reason": "Geste", "once": once})
    assert again.status_code == 200
    assert entries_of(alice, "grant") == [2_500_000]


@pytest.mark.parametrize(
    "form",
    [{"amount": "1,00", "reason": ""}, {"amount": "0", "reason": "x"}, {"amount": "-5", "reason": "x"}],
)
def test_a_movement_without_reason_or_credit(desk: Client, alice: User, form: dict) -> None:
    buy(alice, EURO)
    page = f"/admin/billing/account/{account_of(alice).pk}/ajuster/"
    assert desk.post(page, form | {"once": uuid.uuid4().hex}).status_code == 200
    assert entries_of(alice, "adjust") == []


def test_a_customer_has_no_desk(alice: User, bob: User) -> None:
    buy(alice, EURO)
    client = Client()
    client.force_login(bob, "allauth.account.auth_backends.AuthenticationBackend")
    page = f"/admin/billing/account/{account_of(alice).pk}/offrir/"
    answer = client.post(page, {"amount": "1", "reason": "x", "once": uuid.uuid4().hex})
    assert answer.status_code in (302, 403)
    assert entries_of(alice, "grant") == []


def test_refund_from_the_desk(desk: Client, shop: Shop, alice: User, operator: User) -> None:
    top_up = shop.buy(alice, 10 * EURO)
    page = f"/admin/billing/topup/{top_up.pk}/rembourser/"
    form = {"amount": "4,00", "reason": "Réclamation", "once": uuid.uuid4().hex}
    assert desk.post(page, form).status_code == 302
    shop.stand_in.settle()
    assert entries_of(alice, "refund") == [-4 * EURO]
    assert TopUp.objects.get().refunds.get().actor == operator
    assert desk.post(page, form | {"amount": "7", "once": uuid.uuid4().hex}).status_code == 200


def test_a_price_starts_now_or_later_and_is_then_fixed(desk: Client) -> None:
    past = {"engine": "fish", "micros_per_character": 1, "upstream_micros_per_million_bytes": 0}
    start = {"starts_at_0": "2020-01-01", "starts_at_1": "00:00"}
    count = Price.objects.count()
    assert desk.post("/admin/billing/price/add/", past | start).status_code == 200
    assert Price.objects.count() == count
    tomorrow = timezone.localtime() + timedelta(days=1)
    start = {"starts_at_0": f"{tomorrow:%d/%m/%Y}", "starts_at_1": f"{tomorrow:%H:%M}"}
    assert desk.post("/admin/billing/price/add/", past | start).status_code == 302
    assert Price.objects.count() == count + 1
    Price.objects.filter(starts_at__gt=timezone.now()).delete()
    old = Price.objects.first()
    assert old is not None
    assert desk.post(f"/admin/billing/price/{old.pk}/change/", past).status_code == 403


def test_margin_per_day_and_engine(desk: Client, alice: User) -> None:
    buy(alice, 10 * EURO)
    hold = hold_credit(user_id=alice.pk, amount_micros=25_000, life_s=60)
    settle_hold(
        hold_id=hold.pk,
        amount_micros=25_000,
        source_type="generation",
        source_id="a",
        usage=Usage(engine="fish", characters=1_000, upstream_bytes=1_040),
    )
    page = desk.get("/admin/billing/price/marge/").content.decode()
    assert "0,025\u00a0€" in page
    assert "0,014456\u00a0€" in page, "1 040 bytes at 13.90 EUR per million"
    assert "0,010544\u00a0€" in page
