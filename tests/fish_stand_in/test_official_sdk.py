"""The official SDK, both of its modules, works against the stand-in: that is what makes it faithful."""

import io
import wave
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import av
import fish_audio_sdk
import fishaudio
import pytest
from fishaudio.core import RequestOptions
from fishaudio.types import FlushEvent, ReferenceAudio, TTSConfig

from tests.fish_stand_in.running import StandIn, running_stand_in

TEXT = "Bonjour, ceci est un essai de la voix."


@pytest.fixture(scope="module")
def fish() -> Iterator[StandIn]:
    with running_stand_in(catalogue_size=3_000) as stand_in:
        yield stand_in


@pytest.fixture(autouse=True)
def _fresh(fish: StandIn) -> None:
    fish.state.reset()


@pytest.fixture
def client(fish: StandIn) -> Iterator[fishaudio.FishAudio]:
    with fishaudio.FishAudio(api_key="key", base_url=fish.base_url) as client:
        yield client


@pytest.fixture
def session(fish: StandIn) -> Iterator[fish_audio_sdk.Session]:
    with fish_audio_sdk.Session("key", base_url=fish.base_url) as session:
        yield session


def seconds_of(audio: bytes) -> float:
    with av.open(io.BytesIO(audio), "r") as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


class TestNewModule:
    @pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm", "opus"])
    def test_it_speaks(self, client: fishaudio.FishAudio, audio_format: str) -> None:
        audio = client.tts.convert(text=TEXT, format=audio_format)
        seconds = len(audio) / 2 / 44_100 if audio_format == "pcm" else seconds_of(audio)
        assert 2.5 < seconds < 3.2

    def test_no_two_answers_are_equal(self, client: fishaudio.FishAudio) -> None:
        assert client.tts.convert(text=TEXT) != client.tts.convert(text=TEXT)

    def test_it_streams(self, client: fishaudio.FishAudio) -> None:
        assert seconds_of(b"".join(client.tts.stream(text=TEXT))) > 2.5

    async def test_it_speaks_asynchronously(self, fish: StandIn) -> None:
        async with fishaudio.AsyncFishAudio(api_key="key", base_url=fish.base_url) as client:
            assert seconds_of(await client.tts.convert(text=TEXT)) > 2.5

    def test_a_wav_has_placeholder_sizes(self, client: fishaudio.FishAudio) -> None:
        audio = client.tts.convert(text=TEXT, format="wav")
        assert audio[4:8] == (4294967076).to_bytes(4, "little")
        assert audio[40:44] == (4294967040).to_bytes(4, "little")
        assert (len(audio) - 44) % 4096 == 0
        with wave.open(io.BytesIO(audio)) as reader:
            assert (reader.getnchannels(), reader.getframerate()) == (1, 44_100)

    def test_it_speaks_with_references_and_settings(self, client: fishaudio.FishAudio) -> None:
        config = TTSConfig(mp3_bitrate=64, chunk_length=100, top_p=0.5)
        reference = ReferenceAudio(audio=bytes(1000), text="Bonjour.")
        audio = client.tts.convert(text=TEXT, references=[reference], speed=2.0, config=config)
        assert 1.0 < seconds_of(audio) < 1.7

    def test_it_speaks_over_the_socket(self, client: fishaudio.FishAudio) -> None:
        def texts() -> Iterator[str | FlushEvent]:
            yield "Bonjour, "
            yield "ceci est un essai. "
            yield FlushEvent()
            yield "Et la suite."

        audio = b"".join(client.tts.stream_websocket(texts()))
        assert seconds_of(audio) > 2.5

    async def test_it_speaks_over_the_socket_asynchronously(self, fish: StandIn) -> None:
        async def texts() -> AsyncIterator[str]:
            yield TEXT

        async with fishaudio.AsyncFishAudio(api_key="key", base_url=fish.base_url) as client:
            audio = b"".join([chunk async for chunk in client.tts.stream_websocket(texts(), format="wav")])
        assert audio.startswith(b"RIFF")

    @pytest.mark.parametrize("how", ["keep", "1000", "1005", "drop"])
    def test_an_empty_session_ends_well(self, fish: StandIn, client: fishaudio.FishAudio, how: str) -> None:
        fish.state.switches.after_finish = how
        assert list(client.tts.stream_websocket(iter([]))) == []

    def test_it_lists_and_gets_voices(self, client: fishaudio.FishAudio) -> None:
        page = client.voices.list(page_size=5, tags=["male", "young"], language="en")
        assert len(page.items) == 5
        assert all({"male", "young"} <= set(voice.tags) for voice in page.items)
        assert client.voices.get(page.items[0].id).title == page.items[0].title

    def test_it_creates_changes_and_deletes_a_voice(self, client: fishaudio.FishAudio) -> None:
        voice = client.voices.create(
            title="Ma voix", voices=[bytes(1000), bytes(2000)], texts=["un", "deux"], tags=["calme"]
        )
        assert (voice.state, voice.visibility, voice.tags) == ("created", "private", ["calme"])
        client.voices.update(voice.id, title="Autre nom", visibility="unlist", tags=["doux", "grave"])
        changed = client.voices.get(voice.id)
        assert (changed.title, changed.visibility, changed.tags) == ("Autre nom", "unlist", ["doux", "grave"])
        assert [own.id for own in client.voices.list(self_only=True).items] == [voice.id]
        client.voices.delete(voice.id)
        with pytest.raises(fishaudio.NotFoundError):
            client.voices.get(voice.id)

    def test_it_reads_the_account(self, client: fishaudio.FishAudio) -> None:
        assert client.account.get_credits().credit == Decimal(10)
        assert client.account.get_package().type == "free"

    def test_it_transcribes(self, client: fishaudio.FishAudio) -> None:
        audio = client.tts.convert(text=TEXT)
        heard = client.asr.transcribe(audio=audio)
        assert 2.5 < heard.duration < 3.2
        assert heard.segments[0].text == "Bonjour"

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (401, fishaudio.AuthenticationError),
            (403, fishaudio.PermissionError),
            (404, fishaudio.NotFoundError),
            (429, fishaudio.RateLimitError),
            (503, fishaudio.ServerError),
            (402, fishaudio.APIError),
        ],
    )
    def test_it_understands_refusals(
        self, fish: StandIn, client: fishaudio.FishAudio, status: int, error: type[fishaudio.APIError]
    ) -> None:
        fish.fail("status", status=status)
        with pytest.raises(error) as caught:
            client.tts.convert(text=TEXT)
        assert caught.value.status == status

    def test_a_plain_text_400_is_understood(self, client: fishaudio.FishAudio) -> None:
        options = RequestOptions(additional_headers={"Content-Type": "application/json"})
        with pytest.raises(fishaudio.APIError, match="Failed to parse"):
            client._client_wrapper.request("POST", "/v1/tts", content=b"{", request_options=options)

    def test_finish_with_an_error_is_an_error(self, fish: StandIn, client: fishaudio.FishAudio) -> None:
        fish.fail("finish_error", where="live", message="no")
        with pytest.raises(fishaudio.WebSocketError):
            list(client.tts.stream_websocket(iter([TEXT])))


class TestLegacyModule:
    def test_it_speaks(self, session: fish_audio_sdk.Session) -> None:
        audio = b"".join(session.tts(fish_audio_sdk.TTSRequest(text=TEXT)))
        assert seconds_of(audio) > 2.5

    def test_it_speaks_over_the_socket(self, fish: StandIn) -> None:
        with fish_audio_sdk.WebSocketSession("key", base_url=fish.base_url) as session:
            audio = b"".join(
                session.tts(fish_audio_sdk.TTSRequest(text=""), iter(["Bonjour, ", "le monde."]))
            )
        assert seconds_of(audio) > 1

    async def test_it_speaks_over_the_socket_asynchronously(self, fish: StandIn) -> None:
        async def texts() -> AsyncIterator[str]:
            yield TEXT

        async with fish_audio_sdk.AsyncWebSocketSession("key", base_url=fish.base_url) as session:
            parts = [part async for part in session.tts(fish_audio_sdk.TTSRequest(text=""), texts())]
        assert seconds_of(b"".join(parts)) > 2.5

    def test_it_manages_voices(self, session: fish_audio_sdk.Session) -> None:
        page = session.list_models(page_size=3, language=["fr", "de"])
        assert len(page.items) == 3
        made = session.create_model(title="Ma voix", voices=[bytes(1000)], texts=["un"])
        session.update_model(made.id, title="Autre nom")
        assert session.get_model(made.id).title == "Autre nom"
        session.delete_model(made.id)
        with pytest.raises(fish_audio_sdk.HttpCodeErr):
            session.get_model(made.id)

    def test_it_reads_the_account(self, session: fish_audio_sdk.Session) -> None:
        assert session.get_api_credit().credit == Decimal(10)
        assert session.get_package().total == 8_000

    def test_it_transcribes(self, session: fish_audio_sdk.Session) -> None:
        audio = b"".join(session.tts(fish_audio_sdk.TTSRequest(text=TEXT)))
        heard = session.asr(fish_audio_sdk.ASRRequest(audio=audio, ignore_timestamps=True))
        assert heard.text
        assert heard.segments == []

    def test_it_understands_refusals(self, fish: StandIn, session: fish_audio_sdk.Session) -> None:
        fish.fail("status", status=402)
        with pytest.raises(fish_audio_sdk.HttpCodeErr) as caught:
            list(session.tts(fish_audio_sdk.TTSRequest(text=TEXT)))
        assert caught.value.status == 402
