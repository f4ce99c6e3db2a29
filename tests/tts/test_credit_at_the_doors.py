"""Credit under pressure, through the real doors: REST and socket at once, retries, faults, people who leave.

L2, L3, L5 and L6 of the ledger; the same invariants without the doors are in tests/billing.
"""

import json
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from httpx_ws import connect_ws

from billing.audit import check_books
from billing.models import Entry, Hold
from billing.pricing import price_micros
from billing.services import credit_of
from tests.conftest import make_person
from tests.fish_stand_in.running import running_stand_in
from tests.servers import start_server
from tests.tts.test_socket import PATH, listen, say
from tests.tts.test_speak import URL
from tts.models import Generation
from voices.models import Voice

TEXT = "Bonjour, voici votre message."
SENTENCE = "Cette phrase est assez longue pour durer plusieurs secondes, vraiment. "
ROUNDS = 3
FAULTS = [
    ("status", {"status": 500}),
    ("status", {"status": 402}),
    ("status", {"status": 429}),
    ("truncate", {"after": 1}),
    ("drop", {}),
    ("empty", {}),
    ("not_sound", {}),
    ("finish_error", {"message": "broken"}),
    ("close", {"code": 1011, "after": 1}),
]


@pytest.fixture(scope="module")
def stand_in():
    with running_stand_in() as fish:
        yield fish


@pytest.fixture(scope="module")
def _own():
    servers = []
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def cloud(stage, stand_in, _own, media_dir, tmp_path_factory):
    """FR02 with a cloud engine that takes as many at once as they come."""
    if not _own:
        keys = {"FISH_API_KEY": "cle-de-test", "FISH_BASE_URL": stand_in.base_url, "FISH_CONCURRENCY": "64"}
        limits = {"STREAMS_PER_ACCOUNT": "64", "SOCKETS_PER_ACCOUNT": "64", "DATABASE_POOL_SIZE": "20"}
        _own.append(start_server(tmp_path_factory.mktemp("doors"), media_dir, **keys, **limits))
    stand_in.state.reset()
    stand_in.state.switches.concurrency = 64
    return _own[0]


@pytest.fixture
def people(stage, settings, stand_in):
    """Make customers with exactly so much credit, and a voice in the cloud."""
    settings.WELCOME_CREDIT_MICROS = 0
    references = iter([item["_id"] for item in httpx.get(f"{stand_in.base_url}/model").json()["items"]])

    def make(name: str, credit_micros: int):
        person = make_person(name, credit_micros)
        voice = Voice.objects.create(
            engine="fish",
            kind="adopted",
            owner=person.user,
            reference={"id": next(references)},
            title="Voix en ligne",
        )
        return person, voice.public_id

    return make


@pytest.fixture(autouse=True)
def _books_are_right(stage):
    yield
    assert [finding for finding in check_books() if finding.drifts] == []


def together(number, work):
    """Call `work(0)` … at the same moment, each in a thread."""
    start = threading.Barrier(number)

    def run(index):
        start.wait(60)
        return work(index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def wait_until(is_so, seconds=30):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_l02_sixty_four_at_once_with_credit_for_ten(cloud, people):
    cost = price_micros(engine="fish", characters=len(TEXT))
    for number in range(ROUNDS):
        person, voice_id = people(f"dix-{number}", 10 * cost)
        body = {"text": TEXT, "voice_id": voice_id}

        def ask(index, person=person, body=body):
            if index % 2:
                return httpx.post(cloud.url + URL, json=body, headers=person.headers, timeout=60).status_code
            sounds, texts, close_code = listen(cloud.url, person.headers, json.dumps(body))
            if close_code == 1000:
                return 200 if sounds and not texts else "silence"
            problem = json.loads(texts[0])
            return problem["status"] if close_code == 4402 and not sounds else (close_code, problem)

        assert Counter(together(64, ask)) == {200: 10, 402: 54}
        wait_until(lambda: not Hold.objects.open().exists())
        credit = credit_of(person.user.pk)
        assert (credit.balance_micros, credit.held_micros) == (0, 0)
        assert Generation.objects.filter(user=person.user, status="done").count() == 10


def test_l03_one_key_one_effect(cloud, people, stand_in):
    cost = price_micros(engine="fish", characters=len(TEXT))
    person, voice_id = people("une-fois", 10 * cost)
    other, other_voice_id = people("ailleurs", 10 * cost)
    headers = person.headers | {"Idempotency-Key": "commande-1"}
    body = {"text": TEXT, "voice_id": voice_id}

    answers = together(32, lambda index: httpx.post(cloud.url + URL, json=body, headers=headers, timeout=90))
    assert {answer.status_code for answer in answers} == {200}
    links = ("audio_url", "audio_url_expires_at")
    bodies = [
        {name: value for name, value in answer.json().items() if name not in links} for answer in answers
    ]
    assert all(found == bodies[0] for found in bodies)
    assert Generation.objects.filter(user=person.user).count() == 1
    assert Entry.objects.filter(account__user=person.user, kind="capture").count() == 1
    assert credit_of(person.user.pk).balance_micros == 9 * cost
    assert len([asked for asked in stand_in.state.asked if asked["where"] in ("tts", "live")]) == 1

    changed = httpx.post(cloud.url + URL, json=body | {"speed": 1.5}, headers=headers, timeout=60)
    assert (changed.status_code, changed.json()["code"]) == (409, "idempotency_conflict")
    theirs = other.headers | {"Idempotency-Key": "commande-1"}
    independent = httpx.post(
        cloud.url + URL, json=body | {"voice_id": other_voice_id}, headers=theirs, timeout=60
    )
    assert independent.status_code == 200
    assert credit_of(other.user.pk).balance_micros == 9 * cost


def test_l05_who_leaves_pays_for_what_was_sent(server, alice):
    text = SENTENCE * 4
    whole = sum(map(len, listen(server.url, alice.headers, say(text, format="pcm"))[0]))
    wait_until(lambda: not Hold.objects.open().exists())
    for percent in (10, 50, 90):
        before = credit_of(alice.user.pk).balance_micros
        received = 0
        with (
            httpx.Client(base_url=server.url, timeout=30) as client,
            connect_ws(PATH, client, headers=alice.headers) as socket,
        ):
            socket.send_text(say(text, format="pcm"))
            while received < whole * percent / 100:
                received += len(socket.receive_bytes(timeout=60))
        wait_until(lambda: not Hold.objects.open().exists())
        row = Generation.objects.filter(user=alice.user).latest("created_at")
        assert row.cost_micros == row.billed_characters * price_micros(engine="kokoro", characters=1)
        assert row.cost_micros <= row.hold.amount_micros
        credit = credit_of(alice.user.pk)
        assert (credit.balance_micros, credit.held_micros) == (before - row.cost_micros, 0)
        assert percent / 100 * 0.6 <= row.billed_characters / row.characters <= 1, "paid for what was heard"


def test_l06_no_hold_stays_open_whatever_fails(cloud, people, stand_in):
    """Broken answers, lost connections, refusals and people who hang up: in the end nothing is held."""
    person, voice_id = people("malchance", 100_000_000)
    dice = random.Random(7)

    def live(index):
        body = {"text": TEXT * dice.randrange(1, 4), "voice_id": voice_id}
        try:
            if index % 3 == 0:
                with (
                    httpx.Client(base_url=cloud.url, timeout=30) as client,
                    connect_ws(PATH, client, headers=person.headers) as socket,
                ):
                    socket.send_text(json.dumps(body))  # and hang up
                return 0
            headers = person.headers | ({"Accept": "audio/*"} if index % 2 else {})
            return httpx.post(cloud.url + URL, json=body, headers=headers, timeout=60).status_code
        except httpx.HTTPError:
            return 0

    seen: Counter = Counter()
    for _ in range(6):
        for fault, details in dice.sample(FAULTS, 3):
            stand_in.fail(fault, **details)
        seen.update(together(16, live))
    wait_until(lambda: not Generation.objects.filter(status="pending").exists())
    assert not Hold.objects.open().exists()
    assert credit_of(person.user.pk).held_micros == 0
    assert seen[200], seen
    paid = sum(Generation.objects.filter(user=person.user).values_list("cost_micros", flat=True))
    assert credit_of(person.user.pk).balance_micros == 100_000_000 - paid
