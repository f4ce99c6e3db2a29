"""The management client against every answer of Fish Audio's voice and wallet endpoints."""

import time
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.fish_stand_in.running import StandIn
from voices import fish_errors, limiter
from voices.fish import (
    FishClient,
    FishConcurrency,
    FishError,
    FishForbidden,
    FishInvalid,
    FishNotFound,
    FishOutOfCredit,
    FishRecording,
    FishUnauthorized,
    FishUnavailable,
    error_from,
    parse_model,
)
from voices.fish_models import parse_page
from voices.models import UpstreamSlot

pytestmark = pytest.mark.django_db  # the slots

RECORDING = FishRecording("voix.wav", bytes(2_000), "audio/wav")


@pytest.fixture
def client(fish: StandIn, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("voices.fish.time.sleep", lambda _seconds: None)
    with FishClient() as client:
        yield client


def test_it_works(client: FishClient, fish: StandIn) -> None:
    made = client.create_model(
        title="Ma voix", recordings=[RECORDING] * 3, texts=["un", "deux", "trois"], tags=["calme"]
    )
    assert (made.title, made.visibility, made.tags) == ("Ma voix", "private", ["calme"])
    client.update_model(made.id, title="Autre nom", tags=[], visibility="unlist")
    seen = client.get_model(made.id)
    assert (seen.title, seen.tags, seen.visibility, seen.state) == ("Autre nom", [], "unlist", "trained")
    assert [model.id for model in client.list_models(is_own=True).items] == [made.id]
    client.delete_model(made.id)
    with pytest.raises(FishNotFound):
        client.get_model(made.id)
    assert len(fish.app.models.clones) == 0


@pytest.mark.parametrize("status", [200, 204])
def test_a_deletion_may_answer_either_way(client: FishClient, fish: StandIn, status: int) -> None:
    fish.state.switches.delete_status = status
    made = client.create_model(title="Ma voix", recordings=[RECORDING])
    client.delete_model(made.id)
    with pytest.raises(FishNotFound):
        client.delete_model(made.id)


def test_states_are_followed(client: FishClient, fish: StandIn) -> None:
    fish.state.switches.training_s = 0.3
    made = client.create_model(title="Ma voix", recordings=[RECORDING])
    states = [made.state]
    deadline = time.monotonic() + 5
    while states[-1] != "trained" and time.monotonic() < deadline:
        states.append(client.get_model(made.id).state)
    assert list(dict.fromkeys(states)) == ["created", "training", "trained"]


def test_training_may_fail(client: FishClient, fish: StandIn) -> None:
    fish.state.switches.training_s = 0.0
    fish.fail("training_fails", where="model")
    made = client.create_model(title="Ma voix", recordings=[RECORDING])
    assert client.get_model(made.id).state == "failed"


def test_a_public_voice_needs_a_cover(client: FishClient) -> None:
    with pytest.raises(FishInvalid, match="cover_image"):
        client.create_model(title="Ma voix", recordings=[RECORDING], visibility="public")
    cover = FishRecording("cover.png", bytes(100), "image/png")
    made = client.create_model(title="x", recordings=[RECORDING], visibility="public", cover_image=cover)
    assert made.visibility == "public"


def test_a_public_voice_may_come_back_private(client: FishClient, fish: StandIn) -> None:
    fish.state.switches.is_public_downgraded = True
    cover = FishRecording("cover.png", bytes(100), "image/png")
    made = client.create_model(title="x", recordings=[RECORDING], visibility="public", cover_image=cover)
    assert made.visibility == "private"


@pytest.mark.parametrize("count", [0, 21])
def test_one_to_twenty_recordings(client: FishClient, count: int) -> None:
    with pytest.raises(FishInvalid, match="voices"):
        client.create_model(title="Ma voix", recordings=[RECORDING] * count)


def test_the_catalogue_is_filtered_and_paged(client: FishClient) -> None:
    first = client.list_models(page_size=3, language=["en", "fr"], sort_by="task_count")
    second = client.list_models(page_size=3, page_number=2, language=["en", "fr"], sort_by="task_count")
    assert first.has_more
    assert not {model.id for model in first.items} & {model.id for model in second.items}
    counts = [model.task_count for model in first.items + second.items]
    assert counts == sorted(counts, reverse=True)
    model = first.items[0]
    assert model.author_nickname
    assert model.samples[0].audio.startswith("http://")
    assert model.created_at.year in (2023, 2024, 2025, 2026)


@pytest.mark.parametrize("arguments", [{"page_size": 101}, {"page_size": 0}, {"sort_by": "name"}])
def test_a_bad_question_is_told(client: FishClient, arguments: dict[str, Any]) -> None:
    with pytest.raises(FishInvalid) as caught:
        client.list_models(**arguments)
    assert caught.value.status == 422
    assert next(iter(arguments)) in caught.value.message


def test_the_wallet(client: FishClient) -> None:
    assert client.get_credit() == Decimal(10)


def test_a_debit_shows_later(client: FishClient, fish: StandIn) -> None:
    fish.state.switches.debit_after_s = 0.2
    speech = {"text": "é" * 1000, "format": "pcm"}
    answer = httpx.post(f"{fish.base_url}/v1/tts", json=speech, headers={"Authorization": "Bearer key"})
    assert answer.is_success
    deadline = time.monotonic() + 5
    while client.get_credit() == 10 and time.monotonic() < deadline:
        pass
    assert client.get_credit() == Decimal("9.97")


def test_the_catalogue_is_open_without_a_key_but_not_with_a_wrong_one(fish: StandIn) -> None:
    fish.state.switches.keys = {"right"}
    with FishClient(api_key="") as nobody:
        assert nobody.list_models().items
    with FishClient(api_key="wrong") as stranger, pytest.raises(FishUnauthorized, match="No permission"):
        stranger.list_models()


def test_somebody_elses_private_voice(client: FishClient) -> None:
    made = client.create_model(title="Ma voix", recordings=[RECORDING])
    with FishClient(api_key="other") as other:
        with pytest.raises(FishForbidden):
            other.get_model(made.id)
        with pytest.raises(FishForbidden):
            other.delete_model(made.id)


@pytest.mark.parametrize("voice_id", ["", "../wallet/self/api-credit", "F" * 32, "é" * 32, "a" * 31])
def test_what_is_no_voice_id_is_never_sent(client: FishClient, fish: StandIn, voice_id: str) -> None:
    with pytest.raises(FishNotFound):
        client.get_model(voice_id)
    assert fish.state.asked == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, FishInvalid),
        (401, FishUnauthorized),
        (402, FishOutOfCredit),
        (403, FishForbidden),
        (404, FishNotFound),
        (413, FishInvalid),
        (422, FishInvalid),
        (429, FishConcurrency),
        (500, FishUnavailable),
        (503, FishUnavailable),
        (302, FishUnavailable),
    ],
)
def test_every_status(client: FishClient, fish: StandIn, status: int, error: type[FishError]) -> None:
    fish.fail("status", status=status, message="why", times=None)
    with pytest.raises(error, match="why") as caught:
        client.get_credit()
    assert caught.value.status == status
    assert len(fish.asked("wallet")) == (3 if status in (429, 500, 503) else 1)


@pytest.mark.parametrize("status", [429, 503])
def test_a_read_survives_an_overload(client: FishClient, fish: StandIn, status: int) -> None:
    fish.fail("status", status=status, times=2, retry_after="1")
    assert client.get_credit() == 10


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_write_is_not_repeated(client: FishClient, fish: StandIn, status: int) -> None:
    fish.fail("status", status=status)
    with pytest.raises(FishError):
        client.create_model(title="Ma voix", recordings=[RECORDING])
    assert len(fish.asked("model")) == 1


def test_nobody_there(client: FishClient) -> None:
    with (
        FishClient(base_url="http://127.0.0.1:9") as lost,
        pytest.raises(FishUnavailable, match="no connection"),
    ):
        lost.get_credit()


def test_where_a_customer_waits_nothing_is_repeated(fish: StandIn) -> None:
    fish.fail("status", status=503, message="why")
    with FishClient(attempts=1) as client, pytest.raises(FishUnavailable):
        client.get_credit()
    assert len(fish.asked("wallet")) == 1


def test_a_slot_is_held_as_long_as_a_request_may_take(fish: StandIn, settings: Any) -> None:
    """A short request holds none; a clone that uploads for a minute must not lose it."""
    settings.FISH_CONCURRENCY = 1
    leases, release = [], limiter.release

    def note_and_release(slot: Any) -> None:
        leases.append(lease_of(slot))
        release(slot=slot)

    with FishClient() as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(limiter, "release", note_and_release)
        client.get_credit()
    assert leases[0] >= 2 * settings.FISH_MANAGEMENT_SECONDS
    assert not UpstreamSlot.objects.exists()


def lease_of(slot: Any) -> float:
    row = UpstreamSlot.objects.get(pk=slot)
    assert row.account == limiter.PLATFORM
    return (row.expires_at - row.acquired_at).total_seconds()


def test_slots_are_shared_with_speech(fish: StandIn, db: None, settings: Any) -> None:
    settings.FISH_CONCURRENCY = 0
    with FishClient(account="mirror") as client, pytest.raises(FishConcurrency):
        client.create_model(title="x", recordings=[RECORDING])
    settings.FISH_CONCURRENCY = 1
    with FishClient(account="mirror") as client:
        assert client.get_credit() == client.get_credit() == 10


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"credit": null}',
        b'{"credit": "NaN"}',
        b'{"credit": "Infinity"}',
        b"[" * 100_000,
        b"<html>",
    ],
)
def test_a_strange_success_is_no_success(
    client: FishClient, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr(client, "_request", lambda *_arguments, **_named: body)
    with pytest.raises(FishUnavailable):
        client.get_credit()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message": "no", "status": 400}', "no"),
        (b'{"status": 400, "message": "no", "reason": null}', "no"),
        (
            b'[{"loc": ["body", "title"], "type": "missing", "msg": "Field required", "in": "body"}]',
            "body.title: Field required",
        ),
        (b'[{"loc": 3, "msg": 4}, 5]', ":"),
        (b"Failed to parse json request body", "Failed to parse json request body"),
        (b"", "status 400"),
        (b"\xff\x00", "\ufffd"),
        (b'{"message": {"deep": 1}}', "status 400"),
        (b"x" * 10_000, "x" * 500),
    ],
)
def test_every_form_of_an_error(body: bytes, message: str) -> None:
    assert error_from(400, httpx.Headers(), body).message.strip("\0") == message


def test_an_unknown_reference_is_told_by_its_words() -> None:
    error = error_from(400, httpx.Headers(), b'{"message": "Reference not found", "status": 400}')
    assert isinstance(error, FishNotFound)


@pytest.mark.parametrize(
    ("value", "seconds"), [("2", 2.0), ("0.5", 0.5), ("-1", None), ("nan", None), ("x", None)]
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert error_from(429, httpx.Headers({"retry-after": value}), b"").retry_after_s == seconds


@pytest.mark.parametrize(
    "entry", [None, 3, {}, {"_id": "x", "title": "t"}, {"_id": "a" * 32}, {"_id": "a" * 32, "title": 3}]
)
def test_what_is_no_voice_is_counted_not_believed(entry: object) -> None:
    page = parse_page({"items": [entry], "total": 1}, page_size=10, page_number=1)
    assert (page.items, page.malformed_count) == ([], 1)


def test_a_hostile_voice_becomes_a_harmless_one() -> None:
    entry = {
        "_id": "a" * 32,
        "title": "t\0\ud800",
        "tags": ["a", 3, None],
        "languages": "fr",
        "like_count": -5,
        "task_count": 10**30,
        "author": "me",
        "samples": [3, {"audio": 4}],
        "created_at": "yesterday",
        "train_mode": "full",
    }
    model = parse_model(entry)
    assert model is not None
    assert (model.title, model.tags, model.languages) == ("t?", ["a"], [])
    assert (model.like_count, model.task_count) == (0, 2_147_483_647)
    assert (model.author_nickname, model.train_mode, model.samples[0].audio) == ("", "full", "")
    assert model.created_at.year == 1970


def test_an_endless_answer_is_cut(client: FishClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voices.fish.MAX_ANSWER_BYTES", 1_000)
    with pytest.raises(FishUnavailable, match="longer"):
        client.list_models(page_size=20)


def test_without_has_more_the_total_tells() -> None:
    entry = {"_id": "a" * 32, "title": "t"}
    assert parse_page({"items": [entry], "total": 11}, page_size=10, page_number=1).has_more
    assert not parse_page({"items": [entry], "total": 10}, page_size=10, page_number=1).has_more


def test_messages_are_short() -> None:
    assert len(error_from(500, httpx.Headers(), b'{"message": "' + b"x" * 9_000 + b'"}').message) == (
        fish_errors.MAX_MESSAGE_CHARACTERS
    )
