"""A voice cloned through the browser: recorded there, learnt by Fish Audio, spoken through every door."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from httpx_ws import WebSocketDisconnect, WebSocketSession, connect_ws
from playwright.sync_api import Page, expect

from tests.browser import PHONE, Visit, open_browser
from tests.fish_stand_in.__main__ import local_speaker
from tests.fish_stand_in.running import StandIn, running_stand_in
from tests.recogniser import plain_words, recognise
from tests.servers import ROOT, Server, database_url, start_server
from tests.tts.sound import measure
from tests.tts.test_page_script import run_script
from tests.voices.sounds import encoded
from voices.models import Voice

PLATFORM_KEY = "cle-de-la-plateforme"


@pytest.fixture(scope="module")
def speaking_fish() -> Iterator[StandIn]:
    """Fish Audio, where every voice is the French one: the others say « Bonjour » with an accent of their own."""
    with running_stand_in(speaker=local_speaker(["ff_siwis"]), catalogue_size=20) as stand_in:
        stand_in.state.switches.training_s = 2.0
        yield stand_in


@pytest.fixture
def site(stage, speaking_fish: StandIn, media_dir: Path, tmp_path: Path) -> Iterator[Server]:
    """FR02 with Fish Audio, and its background worker."""
    extra: Any = {
        "FISH_API_KEY": PLATFORM_KEY,
        "FISH_BASE_URL": speaking_fish.base_url,
        "CLONE_POLL_SECONDS": "1",
    }
    server = start_server(tmp_path, media_dir, **extra)
    environment = (
        os.environ
        | extra
        | {
            "DATABASE_URL": database_url(),
            "FR02_VAR_DIR": str(settings.VAR_DIR),
            "FR02_MEDIA_DIR": str(media_dir),
        }
    )
    command = [sys.executable, "manage.py", "procrastinate", "worker", "--fetch-job-polling-interval", "0.5"]
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    yield server
    worker.terminate()
    worker.wait(15)
    server.stop()


def spoken(server: Server, person, text: str, voice_id: str) -> bytes:
    answer = httpx.post(
        f"{server.url}/api/v1/tts/",
        json={"text": text, "voice_id": voice_id},
        headers=person.headers | {"Accept": "audio/*"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.content


def streamed(server: Server, person, text: str, voice_id: str) -> bytes:
    socket: WebSocketSession
    with (
        httpx.Client(base_url=server.url, timeout=30) as client,
        connect_ws("/api/v1/tts/stream", client=client, headers=person.headers) as socket,
    ):
        socket.send_json({"text": text, "voice_id": voice_id, "format": "mp3"})
        audio: list[bytes] = []
        close_code = None
        while close_code is None:
            try:
                audio.append(socket.receive_bytes())
            except WebSocketDisconnect as end:
                close_code = end.code
    assert close_code == 1000
    return b"".join(audio)


def record(page: Page, number: int, seconds: float) -> None:
    row = page.locator("[data-recorder]").nth(number)
    row.locator("[data-record]").click()
    expect(row.locator("[data-record-time]")).to_contain_text("s")
    page.wait_for_timeout(seconds * 1000)  # the time it takes to say a sentence
    row.locator("[data-record-stop]").click()
    expect(row.locator("[data-record-player]")).to_be_visible()


def test_it_works(site, speaking_fish, alice, tmp_path):
    assert alice.starter_id
    microphone = tmp_path / "micro.wav"
    microphone.write_bytes(encoded(20, "wav"))
    arguments = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
    ]
    with open_browser(*arguments) as browser:
        reader = Visit(browser, site.url, permissions=["microphone"])
        reader.log_in(alice.user.email, alice.password)
        page = reader.open("/voix/")
        page.locator("[data-clone]").get_by_label("Titre").fill("Ma vraie voix")
        for number in range(3):
            record(page, number, 4.0)
        page.get_by_label("Je certifie que cette voix est la mienne").check()
        page.get_by_role("button", name="Cloner la voix").click()
        card = page.locator(".voice-card", has_text="Ma vraie voix")
        expect(card).to_contain_text("prête", timeout=30_000)
        card.get_by_role("button", name="Écouter").click()
        expect(card.locator("[data-voice-player]")).to_be_visible(timeout=15_000)
        page.wait_for_function("document.querySelector('[data-voice-player]:not([hidden])').duration > 0.5")
        assert reader.faults == []
    voice = Voice.objects.get(kind="clone")
    (clone,) = speaking_fish.app.models.clones.values()
    assert [measure(recording)[0] > 3.5 for recording in clone.recordings] == [True] * 3
    assert clone.texts[0].startswith("Ce matin")

    said = spoken(site, alice, "Bonjour à tous.", voice.public_id)
    assert plain_words(recognise(said)) == "bonjour à tous"
    said = streamed(site, alice, "Bonjour à tous.", voice.public_id)
    assert measure(said)[1] > 0.05
    run = run_script(site, alice, tmp_path)
    assert f"=== Vos voix privées ===\nID: {voice.public_id} | Titre: Ma vraie voix" in run.stdout, run.stderr
    assert plain_words(recognise((tmp_path / "output.mp3").read_bytes())) == "bonjour"
    generations = voice.generation_set.all()
    assert {(row.engine, row.status) for row in generations} == {("fish", "done")}
    assert generations.count() == 4  # the page's button, REST, the socket, the script


def test_it_fits_a_phone(site, alice):
    with open_browser() as browser:
        reader = Visit(browser, site.url, viewport=PHONE)
        reader.log_in(alice.user.email, alice.password)
        reader.open("/voix/")
        assert reader.overflow() == 0
        assert reader.accessibility_faults() == []
        assert reader.faults == []


def test_the_page_in_the_browser(server, alice):
    """Without Fish Audio: blends, by mouse and keyboard, and at 320 pixels."""
    with open_browser() as browser:
        reader = Visit(browser, server.url, viewport=PHONE)
        reader.log_in(alice.user.email, alice.password)
        page = reader.open("/voix/")
        assert reader.overflow() == 0
        assert reader.accessibility_faults() == []
        form = page.locator("[data-blend]")
        form.get_by_label("Titre").fill("Mon duo")
        form.locator("[data-blend-voice='1']").select_option(label="Siwis (français)")
        form.locator("[data-blend-voice='2']").select_option(index=3)
        slider = form.get_by_label("Poids de la voix 1")
        slider.focus()
        for _press in range(25):
            page.keyboard.press("ArrowRight")
        expect(form.locator("[data-blend-share]").first).to_have_text("60\u202f%")
        form.get_by_role("button", name="Écouter le mélange").click()
        expect(form.locator("[data-blend-player]")).to_be_visible(timeout=15_000)
        page.wait_for_function("document.querySelector('[data-blend-player]').duration > 0.5")
        expect(page.locator(".voice-card")).to_have_count(1)  # the starter voice alone
        form.get_by_role("button", name="Enregistrer le mélange").click()
        card = page.locator(".voice-card", has_text="Mon duo")
        expect(card).to_be_visible()
        card.get_by_role("button", name="Supprimer").press("Enter")
        card.get_by_role("button", name="Supprimer la voix").press("Enter")
        expect(page.get_by_text("La voix est supprimée.")).to_be_visible()
        expect(card).to_have_count(0)
        assert reader.faults == []
        assert reader.overflow() == 0
