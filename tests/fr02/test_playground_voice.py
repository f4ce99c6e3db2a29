"""From a voice of the community to the playground that speaks with it: `/developpeurs/?voice_id=…#essayer`."""

from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import PHONE, Visit, open_browser
from tts.models import Generation
from voices.models import Voice
from voices.words import search_text

PAGE = "/developpeurs/"
REFUSED = "L’essai parle avec la voix par défaut."


@pytest.fixture
def browser(server) -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser, server):
    return partial(Visit, browser, server.url)


def make_voice(title, **fields):
    styles = {"styles": [["ff_siwis", 1.0]], "language": "fr-fr"}
    values = {"kind": "blend", "engine": "kokoro", "visibility": "public", "languages": ["fr"]} | fields
    text = search_text(title=title, languages=["fr"])
    return Voice.objects.create(title=title, reference=styles, search_text=text, **values)


def chosen(page):
    return page.locator("#play-voice option:checked")


def test_it_works(visit, alice, bob):
    voice = make_voice("Zéphyrine <b>du Nord</b> " + "x" * 170, owner=bob.user)
    reader = visit(viewport=PHONE)
    reader.log_in(alice.user.email, alice.password)
    page = reader.open("/communaute/?search=zephyrine")
    page.click("text=Utiliser cette voix")
    page.wait_for_url(f"**{PAGE}?voice_id={voice.public_id}#essayer", wait_until="networkidle")
    expect(page.locator("#essayer")).to_contain_text(f"Voix choisie\u00a0: {voice.title}.")
    expect(chosen(page)).to_have_text(voice.title)
    expect(page.locator(f"#play-voice option[value='{voice.public_id}']")).to_have_count(1)
    assert voice.public_id in page.inner_text("#play-curl")
    page.click("text=Parler")
    expect(page.locator("[data-play=state]")).to_have_text("Audio complet.", timeout=60_000)
    assert Generation.objects.get(user=alice.user).voice == voice
    assert reader.overflow() <= 0
    assert reader.accessibility_faults() == []
    assert reader.faults == []


def test_another_voice_can_still_be_chosen(visit, alice):
    reader = visit()
    reader.log_in(alice.user.email, alice.password)
    page = reader.open(f"{PAGE}?voice_id={alice.starter_id}")
    expect(chosen(page)).to_have_text("Ma première voix")
    expect(page.locator("#play-voice option", has_text="Ma première voix")).to_have_count(1)
    page.select_option("#play-voice", "")
    assert '"voice_id":null' in page.inner_text("#play-curl")


def test_a_voice_that_is_not_ones_own_is_told_and_not_chosen(visit, alice, bob):
    foreign = make_voice("Secret de Bob", owner=bob.user, visibility="private")
    reader = visit()
    reader.log_in(alice.user.email, alice.password)
    page = reader.open(f"{PAGE}?voice_id={foreign.public_id}#essayer")
    notice = page.locator("#essayer .notice.warn")
    expect(notice).to_have_text(f"Cette voix n’existe pas ou ne vous est pas accessible. {REFUSED}")
    expect(chosen(page)).to_have_text("Voix par défaut")
    assert "Secret de Bob" not in page.content()
    assert reader.accessibility_faults() == []
    assert reader.faults == []


@pytest.mark.parametrize("voice_id", ["f" * 32, "inconnue", '"><script>', "é\0", "A" * 5_000])
def test_an_unknown_voice_is_told(client, alice, voice_id):
    client.force_login(alice.user)
    response = client.get(PAGE, {"voice_id": voice_id})
    page = response.content.decode()
    assert response.status_code == 200
    assert REFUSED in page and "Voix choisie" not in page
    assert '"><script>' not in page


def test_a_voice_that_is_being_prepared_says_so(client, alice):
    voice = make_voice("Bientôt", owner=alice.user, visibility="private", state="training")
    client.force_login(alice.user)
    page = client.get(PAGE, {"voice_id": voice.public_id}).content.decode()
    assert "Cette voix est encore en préparation." in page and REFUSED in page


def test_without_a_wish_nothing_is_said(client, alice):
    client.force_login(alice.user)
    for address in (PAGE, f"{PAGE}?voice_id="):
        page = client.get(address).content.decode()
        assert REFUSED not in page and "Voix choisie" not in page


def test_a_visitor_comes_back_to_the_voice_after_the_login(visit, alice):
    voice = make_voice("Zéphyrine")
    reader = visit()
    page = reader.open(f"{PAGE}?voice_id={voice.public_id}#essayer")
    page.click("text=Se connecter pour essayer")
    page.fill("[name=login]", alice.user.email)
    page.fill("[name=password]", alice.password)
    page.click("main button[type=submit]")
    page.wait_for_url(f"**{PAGE}?voice_id={voice.public_id}*", wait_until="networkidle")
    expect(chosen(page)).to_have_text("Zéphyrine")
