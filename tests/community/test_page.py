"""The community's page in a real Chromium, with and without JavaScript, and with hostile titles."""

from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, expect

from community.models import Like, Report
from tests.browser import DESKTOP, PHONE, Visit, open_browser
from voices.fish import parse_model
from voices.mirror import store_mirrored_voice

HOSTILE = (
    "<script>window.broken=1</script>",
    "</script><script>window.broken=1</script>",
    '"><script>window.broken=1</script>',
    "<img src=x onerror=window.broken=1>",
    '"><img src=x onerror=window.broken=1>',
    "' onmouseover='window.broken=1",
    '" autofocus onfocus="window.broken=1',
    "<svg onload=window.broken=1>",
    "<svg><script>window.broken=1</script></svg>",
    "<iframe srcdoc='<script>parent.broken=1</script>'>",
    "<a href=javascript:window.broken=1>x</a>",
    "javascript:window.broken=1",
    "<body onload=window.broken=1>",
    "<details open ontoggle=window.broken=1>",
    "<video><source onerror=window.broken=1>",
    "<math><mtext></mtext><script>window.broken=1</script>",
    "<template><script>window.broken=1</script></template>",
    "{{ 7|add:7 }}{% load static %}{% debug %}",
    "${window.broken=1}",
    "`;window.broken=1;//",
    "\\u003cscript\\u003ewindow.broken=1\\u003c/script\\u003e",
    "&lt;script&gt;window.broken=1&lt;/script&gt;",
    "<scr\0ipt>window.broken=1</scr\0ipt>",
    "<ScRiPt>window.broken=1</sCrIpT>",
    "<div hx-get='/compte/logout/' hx-trigger='load'>",
    "<form action=//ailleurs.example><button>x",
    "<meta http-equiv=refresh content='0;url=//ailleurs.example'>",
    "<link rel=stylesheet href=//ailleurs.example/x.css>",
    "<base href=//ailleurs.example>",
    "\u202egnp.exe\u202d\u2066x",
    "Z\u0335" * 1 + "\u0335\u0336\u0337\u0338" * 200,
    "'; DROP TABLE voices_voice;--",
    '=HYPERLINK("http://ailleurs.example")',
    "x" * 5_000,
)


@pytest.fixture
def browser(server) -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def visit(browser, server):
    return partial(Visit, browser, server.url)


@pytest.fixture
def hostile_voices(server):
    """Voices whose every text is hostile, come through the mirror."""
    for number, text in enumerate(HOSTILE):
        model = parse_model(
            {
                "_id": f"{number:032x}",
                "title": text,
                "description": text,
                "tags": [text, text[:60]],
                "languages": [text[:16], "fr"],
                "cover_image": text,
                "samples": [{"title": text, "text": text, "audio": text}],
                "author": {"_id": "a", "nickname": text},
                "task_count": 10_000 + number,
                "state": "trained",
                "visibility": "public",
            }
        )
        assert store_mirrored_voice(model=model)


def titles(page):
    return page.locator(".voice-card h3").all_inner_texts()


def test_it_works(visit, make_voice):
    voice = make_voice("Éléonore", task_count=5, tags=["narration"])
    make_voice("Autre", task_count=9)
    reader = visit(permissions=["clipboard-read", "clipboard-write"])
    page = reader.open("/communaute/")
    assert page.title() == "Voix de la communauté · FR02"
    expect(page.locator("main")).to_contain_text("56 voix indexées")
    assert titles(page)[:2] == ["Autre", "Éléonore"]
    page.fill("#id_search", "eleonroe")
    expect(page.locator(".voice-card h3")).to_have_text(["Éléonore"])
    expect(page.locator("#resultats")).to_contain_text("Aucune voix pour « eleonroe »")
    assert "search=eleonroe" in page.url
    page.click(f"[data-copy=id-{voice.public_id}]")
    expect(page.locator(f"[data-copy=id-{voice.public_id}]")).to_contain_text("Copié")
    assert page.evaluate("navigator.clipboard.readText()") == voice.public_id
    page.click("text=narration")
    page.wait_for_url("**tag=narration")
    assert titles(page) == ["Éléonore"]
    assert reader.faults == []


def test_the_first_click_after_a_search_counts(visit, make_voice):
    voice = make_voice("Éléonore")
    reader = visit(permissions=["clipboard-read", "clipboard-write"])
    page = reader.open("/communaute/")
    page.fill("#id_search", "eleonore")
    expect(page.locator(".voice-card h3")).to_have_text(["Éléonore"])
    copy = page.locator(f"[data-copy=id-{voice.public_id}]")
    # As slow as a finger: what leaving the search box asks for would be answered before the button is released.
    copy.click(delay=500)
    expect(copy).to_contain_text("Copié")
    page.fill("#id_tag", "inconnue")
    expect(page.locator(".voice-card")).to_have_count(0)
    page.fill("#id_tag", "")
    page.select_option("#id_language", "fr")
    expect(page.locator(".voice-card h3")).to_have_text(["Éléonore"])


def test_it_works_without_javascript(visit, make_voice):
    for number in range(30):
        make_voice(f"Commune {number}", task_count=number)
    make_voice("Étrangère", languages=["en"])
    reader = visit(java_script_enabled=False)
    page = reader.open("/communaute/")
    page.fill("#id_search", "commune")
    page.select_option("#id_language", "fr")
    page.select_option("#id_sort_by", "recent")
    page.click("main button[type=submit]")
    assert len(titles(page)) == 24
    expect(page.locator("#resultats-titre")).to_have_text("30 voix trouvées")
    page.click("text=Page suivante")
    assert len(titles(page)) == 6
    assert page.locator("text=Page suivante").count() == 0
    page.click("text=Page précédente")
    assert len(titles(page)) == 24


def test_an_account_likes_and_reports(visit, alice, make_voice):
    voice = make_voice("Aimable", task_count=100)
    reader = visit()
    reader.log_in(alice.user.email, alice.password)
    page = reader.open("/communaute/?search=aimable")
    like = page.locator(".voice-card [aria-pressed]")
    like.click()
    expect(like).to_have_attribute("aria-pressed", "true")
    expect(like).to_contain_text("1")
    assert Like.objects.filter(user=alice.user, voice=voice).exists()
    like.click()
    expect(like).to_have_attribute("aria-pressed", "false")
    page.click("summary:has-text('Signaler')")
    page.select_option(".voice-report select", "impersonation")
    page.fill(".voice-report textarea", "C’est ma voix.")
    page.click("text=Envoyer le signalement")
    expect(page.locator("main")).to_contain_text("votre signalement est transmis")
    assert page.url.endswith("/communaute/?search=aimable")
    assert Report.objects.get().reason == "impersonation"
    assert reader.faults == []


def test_hostile_texts_stay_texts(visit, alice, hostile_voices):
    reader = visit()
    dialogs: list[str] = []
    reader.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    reader.log_in(alice.user.email, alice.password)
    for path in (
        "/communaute/",
        "/communaute/?page=2",
        "/communaute/?search=broken",
        "/communaute/?tag=%3Cscript%3E",
    ):
        page = reader.open(path)
        assert page.evaluate("window.broken") is None
        assert (
            page.locator(
                "#resultats :is(script, img, iframe, svg:not(.button svg), base, meta, link)"
            ).count()
            == 0
        )
        assert page.locator("a[href^='javascript:' i]").count() == 0
        assert reader.overflow() <= 0, path
    page = reader.open(f"/communaute/?search={HOSTILE[4].replace('#', '%23')}")
    expect(page.locator("#id_search")).to_have_value(HOSTILE[4])
    assert page.evaluate("window.broken") is None
    assert not dialogs
    assert reader.faults == []


def test_none_is_said_in_the_singular(client, make_voice):
    make_voice("Nouvelle", task_count=0)
    assert "0 utilisation<" in client.get("/communaute/?search=nouvelle").content.decode()
    assert "0 voix trouvée\n" in client.get("/communaute/?search=introuvable").content.decode()


@pytest.mark.parametrize(("scheme", "window"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark"])
def test_it_fits_and_is_accessible(visit, alice, make_voice, scheme, window):
    make_voice("Longue " + "x" * 190, tags=["étiquette " + "y" * 50], description="z" * 500, task_count=99)
    reader = visit(viewport=window, color_scheme=scheme)
    for path in ("/communaute/", "/communaute/?search=introuvable"):
        reader.open(path)
        assert reader.overflow() <= 0
        assert reader.accessibility_faults() == []
    reader.log_in(alice.user.email, alice.password)
    reader.open("/communaute/")
    assert reader.overflow() <= 0
    assert reader.accessibility_faults() == []
    assert reader.faults == []


@pytest.mark.parametrize(
    "query", ["page=x", "page=-1", "page=99999999999999", "sort_by=x", "language=xx", f"search={'x' * 300}"]
)
def test_an_odd_address_is_no_error(client, db, query):
    assert client.get(f"/communaute/?{query}").status_code == 200


def test_a_like_keeps_the_place_on_the_keyboard(visit, alice, make_voice):
    make_voice("Aimable", task_count=100)
    reader = visit()
    reader.log_in(alice.user.email, alice.password)
    page = reader.open("/communaute/?search=aimable")
    like = page.locator(".voice-card [aria-pressed]")
    like.focus()
    page.keyboard.press("Enter")
    expect(like).to_have_attribute("aria-pressed", "true")
    expect(like).to_be_focused()


def test_a_like_after_the_session_has_ended_shows_the_page_of_a_visitor(visit, alice, make_voice):
    make_voice("Aimable", task_count=100)
    reader = visit()
    reader.log_in(alice.user.email, alice.password)
    page = reader.open("/communaute/?search=aimable")
    page.context.clear_cookies(name="sessionid")
    page.locator(".voice-card [aria-pressed]").click()
    expect(page.locator(".voice-card [aria-pressed]")).to_have_count(0)
    assert page.url.endswith("/communaute/?search=aimable")
    assert titles(page) == ["Aimable"]
    expect(page.locator("main h1")).to_have_text("Voix de la communauté")


def test_where_to_go_next_is_never_another_host(client, alice, make_voice):
    client.force_login(alice.user)
    address = f"/communaute/{make_voice().public_id}/aimer/"
    for elsewhere in ("https://ailleurs.example/", "//ailleurs.example", "javascript:alert(1)"):
        answer = client.post(address, {"is_liked": "True", "next": elsewhere})
        assert (answer.status_code, answer["Location"]) == (302, "/communaute/")


def test_a_visitor_is_sent_to_log_in(client, make_voice):
    answer = client.post(f"/communaute/{make_voice().public_id}/aimer/", {"is_liked": "True"})
    assert answer["Location"].startswith("/compte/login/")
