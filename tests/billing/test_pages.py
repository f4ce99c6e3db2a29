"""The credit page and the prices, in a real browser: every way in which a top-up ends. And their plain answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as configuration
from django.test import Client
from playwright.sync_api import Browser, Page

from accounts.models import User
from billing import ledger
from billing.models import AutoTopUp, TopUp
from tests.billing.helpers import EURO, account_of, buy, entries_of, speak
from tests.billing.shop import Shop
from tests.browser import PHONE, Visit, open_browser

pytestmark = pytest.mark.django_db(transaction=True)
TEN = "10,00\u00a0€"


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


class Till:
    """Alice in front of the credit page."""

    def __init__(self, shop: Shop, browser: Browser, user: User, **options: Any) -> None:
        self.shop, self.user = shop, user
        self.visit = Visit(browser, shop.url, **options)
        cookie = logged_in(user).cookies[configuration.SESSION_COOKIE_NAME].value
        self.visit.context.add_cookies(
            [{"name": configuration.SESSION_COOKIE_NAME, "value": cookie, "url": shop.url}]
        )

    def choose(self, euros: str = "10,00", *, other: str = "", saves_card: bool = False) -> Page:
        """Choose an amount and go to the payment page."""
        page = self.visit.open("/credit/")
        if other:
            page.get_by_text("Autre montant", exact=True).click()
            page.get_by_label("Autre montant (€)").fill(other)
        else:
            page.locator(".pack", has_text=f"{euros}\u00a0€").first.click()
        if saves_card:
            page.get_by_label("Enregistrer la carte").check()
        page.get_by_role("button", name="Payer").click()
        page.wait_for_url(f"{self.shop.stand_in.url}/c/pay/**")
        return page

    def balance(self) -> str:
        """Wait for the events, and return what the page says."""
        self.shop.stand_in.settle()
        return self.visit.open("/credit/").locator("[data-balance]").inner_text()

    def close(self) -> None:
        self.visit.context.close()


@pytest.fixture
def till(shop: Shop, browser: Browser, alice: User) -> Iterator[Till]:
    till = Till(shop, browser, alice)
    yield till
    till.close()


def test_pay(till: Till) -> None:
    page = till.choose()
    assert TEN.replace("\u00a0", " ") in page.inner_text("#amount")
    page.get_by_role("button", name="Payer").click()
    page.wait_for_url("**/credit/")
    assert "Votre compte est rechargé." in page.inner_text("main")
    assert till.balance() == TEN
    assert entries_of(till.user, "topup") == [10 * EURO]
    assert till.visit.page.get_by_role("link", name="Facture").count() == 1
    assert till.visit.page.get_by_role("link", name="Reçu").count() == 1
    assert [fault for fault in till.visit.faults if "http://127.0.0.1" not in fault] == []


def test_pay_an_amount_of_ones_own(till: Till) -> None:
    page = till.choose(other="12,34")
    page.get_by_role("button", name="Payer").click()
    page.wait_for_url("**/credit/")
    assert till.balance() == "12,34\u00a0€"


def test_decline_then_another_card(till: Till) -> None:
    page = till.choose()
    page.get_by_label("Carte").fill("4000 0000 0000 0002")
    page.get_by_role("button", name="Payer").click()
    assert "refusée" in page.get_by_role("alert").inner_text()
    assert till.balance() == "0,00\u00a0€"
    page.go_back()
    page = till.choose()
    page.get_by_role("button", name="Payer").click()
    page.wait_for_url("**/credit/")
    assert till.balance() == TEN


def test_3d_secure(till: Till) -> None:
    page = till.choose()
    page.get_by_label("Carte").fill("4000 0025 0000 3155")
    page.get_by_role("button", name="Payer").click()
    page.get_by_role("button", name="Refuser").click()
    assert "pas confirmé" in page.get_by_role("alert").inner_text()
    page.get_by_label("Carte").fill("4000 0025 0000 3155")
    page.get_by_role("button", name="Payer").click()
    page.get_by_role("button", name="Autoriser").click()
    page.wait_for_url("**/credit/")
    assert till.balance() == TEN
    assert entries_of(till.user, "topup") == [10 * EURO]


@pytest.mark.parametrize(
    ("iban", "balance", "state"),
    [("", TEN, "payée"), ("DE62 3704 0044 0532 0130 01", "0,00\u00a0€", "refusée")],
    ids=["paid", "failed"],
)
def test_sepa_later(till: Till, iban: str, balance: str, state: str) -> None:
    page = till.choose()
    if iban:
        page.get_by_label("IBAN").fill(iban)
    page.get_by_role("button", name="Prélever (SEPA)").click()
    page.wait_for_url("**/credit/")
    assert "Votre banque traite le prélèvement" in page.inner_text("main")
    assert till.balance() == "0,00\u00a0€"
    assert "en cours chez la banque" in page.inner_text("main")

    till.shop.world.settle_sepa(str(TopUp.objects.get(account__user=till.user).session_id))
    assert till.balance() == balance
    assert state in page.inner_text("main")


def test_cancel(till: Till) -> None:
    page = till.choose()
    page.locator("#cancel").click()
    page.wait_for_url("**/credit/")
    assert till.balance() == "0,00\u00a0€"


def test_closed_tab_before_paying_and_after(till: Till) -> None:
    page = till.choose()
    page.close()
    till.visit.page = till.visit.context.new_page()
    assert till.balance() == "0,00\u00a0€"

    session = till.shop.order(till.user)
    till.shop.world.pay(session["id"], "4242424242424242")  # paid, and the browser never came back
    assert till.balance() == TEN


def test_save_a_card_and_top_up_by_itself(till: Till) -> None:
    page = till.choose(saves_card=True)
    page.get_by_role("button", name="Payer").click()
    page.wait_for_url("**/credit/")
    till.shop.stand_in.settle()
    page = till.visit.open("/credit/")
    assert "Visa •••• 4242" in page.inner_text("#automatique")
    page.get_by_label("Recharger automatiquement").check()
    page.get_by_label("Quand le solde passe sous").fill("3,00")
    page.locator("#automatique").get_by_role("button", name="Enregistrer").click()
    page.wait_for_url("**/credit/")
    assert "La recharge automatique est active." in page.inner_text("main")
    wish = AutoTopUp.objects.get(account__user=till.user)
    assert (wish.is_enabled, wish.threshold_micros) == (True, 3 * EURO)


def test_save_a_card_alone(till: Till) -> None:
    page = till.visit.open("/credit/")
    page.get_by_role("button", name="Enregistrer une carte").click()
    page.wait_for_url(f"{till.shop.stand_in.url}/c/pay/**")
    page.get_by_role("button", name="Payer").click()
    page.wait_for_url("**/credit/")
    assert "Votre carte est enregistrée." in page.inner_text("main")
    assert AutoTopUp.objects.get(account__user=till.user).card_label == "Visa •••• 4242"
    assert till.balance() == "0,00\u00a0€"


def test_the_pages_are_accessible_and_narrow_enough(shop: Shop, browser: Browser, alice: User) -> None:
    shop.buy(alice, saves_card=True)
    speak(alice, EURO)
    till = Till(shop, browser, alice, viewport=PHONE)
    for path in ("/credit/", "/tarifs/"):
        till.visit.open(path)
        assert till.visit.overflow() <= 0, path
        assert till.visit.accessibility_faults() == [], path
    assert till.visit.faults == []
    till.close()


def test_without_a_stripe_key(alice: User, settings) -> None:
    settings.STRIPE_SECRET_KEY = ""
    client = logged_in(alice)
    page = client.get("/credit/").content.decode()
    assert "data-payment-missing" in page
    assert "pas configuré" in page
    answer = client.post("/credit/recharger", {"pack": "10000000"}, follow=True)
    assert "pas configuré" in answer.content.decode()
    assert client.post("/credit/carte").status_code == 302
    assert Client().post("/stripe/webhook", b"{}", "application/json").status_code == 400
    ledger.grant_credit(user_id=alice.pk, amount_micros=EURO, reason="Offert par l’opérateur")
    assert "1,00\u00a0€" in client.get("/credit/").content.decode()


@pytest.mark.parametrize("amount", ["4,99", "1000,01", "10,001", "-5", "abc", ""])
def test_an_amount_outside_the_limits(shop: Shop, alice: User, amount: str) -> None:
    client = logged_in(alice)
    answer = client.post("/credit/recharger", {"pack": "other", "amount": amount}, follow=True)
    assert answer.status_code in (200, 400)
    assert shop.stand_in.calls == []
    assert not TopUp.objects.filter(account__user=alice).exists()


def test_a_customer_that_stripe_has_lost_is_made_again(shop: Shop, alice: User) -> None:
    shop.buy(alice)
    lost = account_of(alice).stripe_customer_id
    del shop.world.things[lost]
    shop.buy(alice)
    assert account_of(alice).stripe_customer_id not in ("", lost)
    assert account_of(alice).balance_micros == 20 * EURO


def test_stripe_does_not_answer(shop: Shop, alice: User) -> None:
    shop.stand_in.trouble += [(500, False)] * 3
    answer = logged_in(alice).post("/credit/recharger", {"pack": "10000000"}, follow=True)
    assert "ne répond pas" in answer.content.decode()


def test_strangers_are_sent_to_the_login(alice: User) -> None:
    for path in ("/credit/", "/credit/ecritures.csv", "/credit/retour"):
        assert Client().get(path).status_code == 302
    for path in ("/credit/recharger", "/credit/carte", "/credit/recharge-automatique"):
        assert Client().post(path).status_code == 302
        assert logged_in(alice).get(path).status_code == 405


def test_prices_and_the_rule_in_three_sentences() -> None:
    page = Client().get("/tarifs/").content.decode()
    assert "0,000005\u00a0€" in page
    assert "0,000025\u00a0€" in page
    rule = page[page.index('id="regle"') : page.index("</section>", page.index('id="regle"'))]
    assert rule.count(". ") + rule.count(".\n") + rule.count(".</p>") == 3


def test_statement_as_csv(alice: User, bob: User) -> None:
    buy(alice, EURO)
    buy(bob, EURO)
    for reason in ("=HYPERLINK(1)", " +1", "\u00a0-1", "@x", "ligne\n=1", "normal"):
        ledger.grant_credit(user_id=alice.pk, amount_micros=100, reason=reason)
    speak(alice, 250_000)
    answer: Any = logged_in(alice).get("/credit/ecritures.csv")
    text = b"".join(answer.streaming_content).decode()
    assert answer["Content-Type"].startswith("text/csv")
    assert text.startswith("\ufeffDate;Nature;Montant (€);")
    for cell in ("'=HYPERLINK(1)", "' +1", "'\u00a0-1", "'@x", "'ligne\n=1", ";normal"):
        assert cell in text
    assert ";-0,250000;0,750600;" in text, "negative amounts stay numbers"
    assert text.count("recharge") == 1
