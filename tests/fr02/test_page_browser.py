"""The portal in a real Chromium, on a real server: what its readers see, hear, press and copy."""

import re
import time
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, expect

from accounts.models import ApiKey
from billing.ledger import adjust_credit
from billing.services import credit_of
from fr02.pages import CLIENT_SCRIPT
from tests.browser import DESKTOP, PHONE, Visit, open_browser
from tests.fr02.test_page import owners_lines
from tts.models import Generation

PUBLIC_PAGES = [
    "/developpeurs/",
    "/developpeurs/erreurs",
    "/mentions-legales",
    "/compte/login/",
    "/compte/signup/",
]
ACCOUNT_PAGES = ["/developpeurs/", "/developpeurs/cles", "/compte/email/", "/compte/2fa/"]


@pytest.fixture
def browser(server) -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser, server):
    return partial(Visit, browser, server.url)


def test_it_works(visit):
    reader = visit()
    page = reader.open("/developpeurs/")
    assert page.title() == "Développeurs · FR02"
    said = "".join(page.inner_text("main").split())
    for line in owners_lines():
        words = line.replace("ws://localhost:8000", reader.url.replace("http", "ws"))
        assert "".join(words.split()) in said, line
    assert reader.faults == []


def test_the_copy_button_copies_the_script(visit):
    reader = visit(permissions=["clipboard-read", "clipboard-write"])
    page = reader.open("/developpeurs/")
    page.click("[data-copy=client-script]")
    expect(page.locator("[data-copy=client-script]")).to_contain_text("Copié")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == CLIENT_SCRIPT.read_text(encoding="utf-8").replace("http://localhost:8000", reader.url)
    page.click("[data-copy=socket-address]")
    expect(page.locator("[data-copy=socket-address]")).to_contain_text("Copié")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/api/v1/tts/stream")
    assert reader.faults == []


FORBIDDEN = "navigator.clipboard.writeText = () => Promise.reject(new DOMException('', 'NotAllowedError'));"


def test_the_copy_button_without_the_clipboard_api(visit):
    """The old command copies what is selected."""
    reader = visit(permissions=["clipboard-read", "clipboard-write"])
    reader.page.add_init_script(FORBIDDEN)
    page = reader.open("/developpeurs/")
    page.click("[data-copy=socket-address]")
    expect(page.locator("[data-copy=socket-address]")).to_contain_text("Copié")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/api/v1/tts/stream")
    assert reader.faults == []


def test_the_copy_button_says_when_it_may_not_copy(visit):
    reader = visit()
    reader.page.add_init_script(FORBIDDEN + "document.execCommand = () => false;")
    page = reader.open("/developpeurs/")
    page.click("[data-copy=socket-address]")
    expect(page.locator("[data-copy=socket-address]")).to_contain_text("Sélectionné\u00a0: faites Ctrl-C")
    assert page.evaluate("getSelection().toString()").strip().endswith("/api/v1/tts/stream")
    assert reader.faults == []


@pytest.mark.parametrize(("scheme", "window"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark"])
def test_every_page_fits_and_is_accessible(visit, alice, scheme, window):
    reader = visit(viewport=window, color_scheme=scheme)
    for path in PUBLIC_PAGES:
        reader.open(path)
        assert reader.overflow() <= 0, path
        assert reader.accessibility_faults() == [], path
    reader.log_in(alice.user.email, alice.password)
    for path in ACCOUNT_PAGES:
        reader.open(path)
        assert reader.overflow() <= 0, path
        assert reader.accessibility_faults() == [], path
    assert reader.faults == []


def test_a_key_is_created_and_revoked(visit, alice):
    ApiKey.objects.all().delete()
    reader = visit(permissions=["clipboard-read", "clipboard-write"])
    page = reader.log_in(alice.user.email, alice.password)
    page.fill("#cles [name=name]", "Site vitrine")
    page.click("text=Créer une clé")
    secret = page.locator("#new-secret")
    expect(secret).to_have_text(re.compile(r"^fr02_live_[0-9A-Za-z]{49}$"))
    assert page.evaluate("document.activeElement.matches('[data-secret]')")
    page.click("[data-copy=new-secret]")
    expect(page.locator("[data-copy=new-secret]")).to_contain_text("Copié")
    raw = page.evaluate("navigator.clipboard.readText()")
    assert raw == secret.inner_text()
    voices = f"{reader.url}/api/v1/voices/"
    other = reader.context.browser.new_context()
    assert other.request.get(voices, headers={"X-API-Key": raw}).ok

    page.click("#cles >> text=Révoquer")
    page.click(".popup >> text=Annuler")
    expect(page.locator("#cles .badge")).to_have_text("Active")
    page.click("#cles >> text=Révoquer")
    page.click(".popup >> text=Révoquer la clé")
    expect(page.locator("#cles .badge")).to_have_text("Révoquée")
    expect(page.locator("#cles [data-revoked]")).to_have_text("La clé « Site vitrine » est révoquée.")
    expect(page.locator("#cles [data-revoked]")).to_be_focused()
    assert page.url.endswith("/developpeurs/")
    assert raw not in page.content()
    assert other.request.get(voices, headers={"X-API-Key": raw}).status == 401
    assert reader.faults == []


def test_a_past_date_is_refused_in_place(visit, alice):
    reader = visit()
    page = reader.log_in(alice.user.email, alice.password)
    page.fill("#cles [name=name]", "Trop tard")
    page.fill("#cles [name=expires_on]", "2020-01-01")
    page.click("text=Créer une clé")
    expect(page.locator("#cles .errorlist")).to_have_text("La date d’expiration doit être dans le futur.")
    assert page.input_value("#cles [name=name]") == "Trop tard"
    assert reader.accessibility_faults() == []
    assert reader.faults == []


def test_keys_work_without_javascript(visit, alice):
    ApiKey.objects.all().delete()
    reader = visit(java_script_enabled=False)
    page = reader.log_in(alice.user.email, alice.password)
    page.fill("#cles [name=name]", "Sans script")
    page.click("text=Créer une clé")
    expect(page.locator("#new-secret")).to_have_text(re.compile("^fr02_live_"))
    page.click("#cles >> text=Révoquer")
    page.click(".popup >> text=Révoquer la clé")
    expect(page.locator("#cles .badge")).to_have_text("Révoquée")
    assert ApiKey.objects.get().revoked_at is not None


def test_the_keyboard_is_enough(visit, alice):
    ApiKey.objects.all().delete()
    page = visit().log_in(alice.user.email, alice.password)
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    expect(page.locator(".skip-link")).to_be_in_viewport()
    page.keyboard.press("Enter")
    reached = []
    for _press in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()")
        )
        if reached[-1] == "name":
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"the focus on « {reached[-1]} » is not to be seen"
    assert "Essayer" in reached
    assert reached[-1] == "name"
    page.keyboard.type("Au clavier")
    page.keyboard.press("Enter")
    expect(page.locator("#new-secret")).to_be_visible()
    page.locator(".key-actions > .button").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".popup >> text=Annuler")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".popup")).not_to_be_visible()
    expect(page.locator(".key-actions > .button")).to_be_focused()


def test_the_menus_open_on_a_phone(visit, alice):
    reader = visit(viewport=PHONE)
    page = reader.log_in(alice.user.email, alice.password)
    expect(page.locator("#menu")).not_to_be_visible()
    page.click("[popovertarget=menu]")
    expect(page.locator("#menu")).to_be_visible()
    assert reader.overflow() <= 0
    page.keyboard.press("Escape")
    page.click("[popovertarget=account-menu]")
    expect(page.locator("#account-menu")).to_contain_text(alice.user.email)
    page.click("text=Se déconnecter")
    page.wait_for_url("**/developpeurs/")
    expect(page.locator("#cles")).to_contain_text("Connectez-vous pour gérer vos clés API")
    assert reader.faults == []


def test_the_playground_speaks(visit, alice):
    reader = visit()
    page = reader.log_in(alice.user.email, alice.password)
    expect(page.locator("#play-voice optgroup[label='Vos voix'] option")).to_have_count(1)
    page.fill("#play-text", "Bonjour à tous, c'est l’été.")
    assert '"text":"Bonjour à tous, c\'\\\'\'est l’été."' in page.inner_text("#play-curl")
    page.select_option("#play-voice", alice.starter_id)
    page.click("text=Parler")
    expect(page.locator("[data-play=state]")).to_have_text("Audio complet.", timeout=60_000)
    generation = Generation.objects.get()
    assert (generation.user_id, generation.text) == (alice.user.pk, "Bonjour à tous, c'est l’été.")
    expect(page.locator("[data-play=characters]")).to_have_text("28")
    expect(page.locator("[data-play=cost]")).to_have_text(re.compile(r"^0,\d+\s€$"))
    heard = "document.querySelector('[data-play=player]').currentTime"
    deadline = time.monotonic() + 10
    while page.evaluate(heard) < 0.1:
        assert time.monotonic() < deadline, "the player stays silent"
        page.wait_for_timeout(50)
    assert 1 < page.evaluate("document.querySelector('[data-play=player]').duration") < 6
    with page.expect_download() as download:
        page.click("text=Télécharger l’audio")
    assert download.value.suggested_filename == "fr02.mp3"
    assert download.value.path().stat().st_size > 5_000
    assert reader.accessibility_faults() == []
    assert reader.faults == []


def test_the_playground_says_why_it_is_silent(visit, charlie):
    reader = visit()
    page = reader.log_in(charlie.user.email, charlie.password)
    if credit := credit_of(charlie.user.pk).available_micros:
        adjust_credit(
            user_id=charlie.user.pk, amount_micros=-credit, reason="Essai", actor_id=charlie.user.pk
        )
    page.click("text=Parler")
    expect(page.locator("[data-play=error]")).to_contain_text("Crédit insuffisant", timeout=30_000)
    assert page.get_attribute("[data-play=error] a", "href") == "/developpeurs/erreurs#insufficient_credit"
    assert not Generation.objects.filter(status="done").exists()


def test_the_speech_api_asks_the_session_for_its_token(visit, alice):
    page = visit().log_in(alice.user.email, alice.password)
    call = """fetch('/api/v1/tts/', {method: 'POST', body: '{"text": "Bonjour."}',
        headers: {'Content-Type': 'application/json'}}).then((answer) => answer.json())"""
    assert page.evaluate(call)["code"] == "forbidden"
    assert not Generation.objects.exists()


def test_the_reference_loads_from_here_only(visit, alice):
    reader = visit()
    page = reader.open("/developpeurs/reference")
    expect(page.locator(".opblock-summary-path", has_text="/api/v1/tts/").first).to_be_visible()
    assert reader.faults == []
