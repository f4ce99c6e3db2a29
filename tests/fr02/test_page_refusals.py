"""What a page says when one of its requests is refused or lost: a sentence at its place, and nothing vanishes."""

from collections.abc import Iterator
from functools import partial

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, expect

from accounts.models import ApiKey
from tests.browser import PHONE, Visit, open_browser
from voices.models import Voice

UNEXPECTED = "Le serveur a répondu de façon inattendue. Réessayez."
LOST = "La connexion a été coupée avant la fin. Réessayez."
ENDED = "Votre session est terminée. Rechargez la page pour vous reconnecter."


@pytest.fixture
def browser(server) -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser, server):
    return partial(Visit, browser, server.url)


def create_key(page: Page, name: str = "Site vitrine") -> None:
    page.fill("#cles [name=name]", name)
    page.click("text=Créer une clé")


def test_it_works(visit, alice):
    """A form whose token is gone says so, keeps what was typed, and works again."""
    reader = visit(viewport=PHONE)
    page = reader.log_in(alice.user.email, alice.password)
    cookies = [kept for kept in reader.context.cookies() if kept["name"] == "csrftoken"]
    reader.context.clear_cookies(name="csrftoken")
    create_key(page)
    alert = page.locator("#cles form.card > [role=alert]")
    expect(alert).to_contain_text("Ce formulaire a expiré.")
    assert alert.locator("a").get_attribute("href") == "/developpeurs/erreurs#forbidden"
    assert page.input_value("#cles [name=name]") == "Site vitrine"
    assert page.locator("h1").count() == 1
    assert reader.accessibility_faults() == [] and reader.overflow() <= 0
    reader.context.add_cookies(cookies)
    page.click("text=Créer une clé")
    expect(page.locator("#new-secret")).to_be_visible()
    expect(page.locator("#cles [data-refusal]")).to_have_count(0)


def test_what_is_not_there_any_more(visit, alice):
    page = visit().log_in(alice.user.email, alice.password)
    ApiKey.objects.all().delete()
    page.click("#cles >> text=Révoquer")
    page.click(".popup >> text=Révoquer la clé")
    expect(page.locator(".popup [role=alert]")).to_contain_text("Introuvable.")
    expect(page.locator("#cles .keys-table")).to_be_visible()


def test_a_card_of_the_community(visit, alice, bob):
    page = visit().log_in(alice.user.email, alice.password)
    Voice.objects.filter(public_id=bob.starter_id).update(visibility="public", state="trained")
    page.goto(page.url.replace("/developpeurs/", "/communaute/"))
    card = page.locator(".voice-card", has=page.locator(f"#aimer-{bob.starter_id}"))
    Voice.objects.filter(public_id=bob.starter_id).update(visibility="private")
    card.locator(f"#aimer-{bob.starter_id}").click()
    expect(card.locator("[role=alert]")).to_contain_text(
        "Cette voix n’existe pas ou ne vous est pas accessible."
    )
    expect(card).to_contain_text("Utiliser cette voix")
    expect(page.locator("h1")).to_have_count(1)


def test_a_proxy_whose_server_is_gone(visit, alice):
    page = visit().log_in(alice.user.email, alice.password)
    page.route("**/developpeurs/cles", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>"))
    create_key(page)
    expect(page.locator("#cles [role=alert]")).to_have_text(UNEXPECTED)
    assert page.input_value("#cles [name=name]") == "Site vitrine"


def test_a_connection_that_is_lost_and_comes_back(visit, alice):
    reader = visit()
    page = reader.log_in(alice.user.email, alice.password)
    reader.context.set_offline(True)
    create_key(page)
    expect(page.locator("#cles [role=alert]")).to_have_text(LOST)
    reader.context.set_offline(False)
    page.click("text=Créer une clé")
    expect(page.locator("#new-secret")).to_be_visible()


def test_the_playground_of_a_session_that_has_ended(visit, alice):
    """The API speaks of a key to programs; a reader who has none is told to reload."""
    page = visit().log_in(alice.user.email, alice.password)
    Session.objects.all().delete()
    page.click("text=Parler")
    expect(page.locator("[data-play=error]")).to_have_text(ENDED)


def test_the_playground_of_a_page_from_before_the_last_login(visit, alice):
    reader = visit()
    page = reader.log_in(alice.user.email, alice.password)
    reader.context.clear_cookies(name="csrftoken")
    page.click("text=Parler")
    expect(page.locator("[data-play=error]")).to_contain_text("Cette page a expiré")


def test_a_preview_of_a_session_that_has_ended(visit, alice):
    assert alice.starter_id
    page = visit().log_in(alice.user.email, alice.password)
    page.goto(page.url.replace("/developpeurs/", "/voix/"))
    Session.objects.all().delete()
    page.click("[data-voice-play]")
    expect(page.locator("[data-voice-status]")).to_have_text(ENDED)
