"""What a voice of the community sounds like: anybody may hear it, and it costs nothing."""

import httpx
import pytest
from playwright.sync_api import expect

from fr02.errors import RateLimited
from fr02.per_minute import count_in_minute
from tests.browser import Visit, open_browser
from tests.recogniser import plain_words, recognise
from tests.tts.sound import measure
from tests.tts.test_speak import assert_problem
from voices.builtin import builtin_id, sync_builtin_voices
from voices.models import Voice

ONE_OF_EACH_LANGUAGE = (
    "af_heart", "bf_emma", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "jf_alpha", "pf_dora", "zf_xiaoni"
)  # fmt: skip


@pytest.fixture(autouse=True)
def _voices(stage) -> None:
    sync_builtin_voices()


def address(voice_id: str) -> str:
    return f"/api/v1/community/models/{voice_id}/sample"


def made(media_dir) -> list[str]:
    return sorted(path.name for path in (media_dir / "samples").glob("*"))


def test_it_works(server, media_dir, alice):
    model = f"{server.url}/api/v1/community/models/{builtin_id('ff_siwis')}"
    shown = httpx.get(model, headers=alice.headers).json()
    assert shown["sample_url"] == server.url + address(builtin_id("ff_siwis"))
    answer = httpx.get(shown["sample_url"], follow_redirects=True)
    assert answer.headers["Content-Type"] == "audio/mpeg"
    assert "voici comment je parle" in plain_words(recognise(answer.content))
    before = made(media_dir)
    assert httpx.get(shown["sample_url"], follow_redirects=True).content == answer.content
    assert made(media_dir) == before


@pytest.mark.parametrize("style", ONE_OF_EACH_LANGUAGE)
def test_each_language_has_its_sentence(server, style):
    answer = httpx.get(server.url + address(builtin_id(style)), follow_redirects=True, timeout=30)
    assert answer.status_code == 200, answer.text
    seconds, peak = measure(answer.content)
    assert 0.8 < seconds < 5
    assert peak > 0.05


@pytest.mark.parametrize(
    "change",
    [
        {"visibility": Voice.Visibility.PRIVATE},
        {"visibility": Voice.Visibility.UNLISTED},
        {"is_hidden": True},
        {"engine": Voice.Engine.FISH, "reference": {"id": "1" * 32}},
    ],
    ids=["private", "unlisted", "hidden", "of Fish Audio"],
)
def test_no_sample_of_what_the_community_does_not_show(client, change):
    Voice.objects.filter(public_id=builtin_id("ff_siwis")).update(**change)
    assert_problem(client.get(address(builtin_id("ff_siwis"))), 404, "voice_not_found")


def test_unknown_voices_and_other_methods(client):
    assert_problem(client.get(address("inconnue")), 404, "voice_not_found")
    answer = client.post(address(builtin_id("ff_siwis")))
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET"


def test_renderings_are_counted():
    for _number in range(2):
        count_in_minute("alice", name="samples", limit=2, detail="Trop.")
    with pytest.raises(RateLimited):
        count_in_minute("alice", name="samples", limit=2, detail="Trop.")
    count_in_minute("bob", name="samples", limit=2, detail="Trop.")


def test_the_page_plays_it(server):
    with open_browser() as browser:
        reader = Visit(browser, server.url)
        page = reader.open("/communaute/?search=siwis")
        link = page.locator("[data-sample]").first
        link.click()
        expect(link).to_contain_text("Arrêter")
        link.click()
        expect(link).to_contain_text("Écouter un extrait")
        link.click()
        # It says so itself when the sound is over.
        expect(link).to_contain_text("Arrêter")
        expect(link).to_contain_text("Écouter un extrait", timeout=10_000)
        assert reader.faults == []
        page.route("**/sample", lambda route: route.abort())
        link.click()
        expect(page.locator(".voice-card [role=status]").first).to_contain_text("ne peut pas être lu")
