"""`/asyncapi.yaml` says what the socket really takes and sends."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from fr02.errors import Fr02Error
from tests.tts.talk import talking
from tests.tts.test_session import TEXT
from tests.tts.test_session_refusals import FIRST_MESSAGES, LATER_MESSAGES
from tests.tts.test_socket import BAD_MESSAGES, listen, say
from tts.request import BY_NAME, parse_speech_request
from tts.session_messages import CLIENT_EVENTS, parse_message, parse_start


@pytest.fixture
def described(client, db):
    return get(client)


def get(client, **extra):
    answer = client.get("/asyncapi.yaml", **extra)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/yaml; charset=utf-8"
    return yaml.safe_load(answer.content)


def payload(described, name):
    return described["components"]["messages"][name]["payload"]


def fits(described, name, message):
    return jsonschema.Draft7Validator(payload(described, name)).is_valid(message)


def references(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value] if key == "$ref" else references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def test_it_works(described):
    assert described["asyncapi"] == "3.0.0"
    assert {"info", "servers", "channels", "operations", "components"} <= set(described)
    assert described["channels"]["speech"]["address"] == "/api/v1/tts/stream"
    for reference in references(described):
        place = described
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
            if "$ref" in place:
                place = described["components"]["messages"][step]
        assert place
    for name in described["components"]["messages"]:
        jsonschema.Draft7Validator.check_schema(payload(described, name))


def test_the_host_is_the_one_asked(client, db, settings):
    settings.ALLOWED_HOSTS = ["voix.exemple.fr"]
    server = get(client, HTTP_HOST="voix.exemple.fr", secure=True)["servers"]["fr02"]
    assert (server["host"], server["protocol"]) == ("voix.exemple.fr", "wss")


def test_it_is_linked_from_every_page(client, db):
    assert 'href="/asyncapi.yaml"' in client.get("/developpeurs/").content.decode()


def test_the_fields_are_those_of_the_parser(described):
    assert set(payload(described, "request")["properties"]) == set(BY_NAME)
    for name, event in CLIENT_EVENTS.items():
        assert set(payload(described, name)["properties"]) == {"event", *event.fields}
    session = described["operations"]["session"]["messages"]
    assert [reference["$ref"].split("/")[-1] for reference in session] == list(CLIENT_EVENTS)


VALUES: dict[str, list[Any]] = {
    "text": ["Oui.", "", None, 5],
    "voice_id": [None, "a" * 32, 5],
    "format": ["mp3", "wav", "pcm", "opus", "flac", None],
    "speed": [0.5, 1, 2.0, 0.4, 2.1, "1", None, True],
    "volume": [-20, 20, 0.5, -21, 21],
    "temperature": [0.1, 1.5, 0, 1.6],
    "latency": ["low", "normal", "balanced", "slow"],
    "fallback": [None, "local", "cloud"],
    "speaker": ["x"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in VALUES for value in VALUES[name]])
def test_the_description_and_the_parsers_agree_on_every_value(described, name, value):
    whole = {"text": "Oui.", name: value}
    assert fits(described, "request", whole) == accepts(lambda: parse_speech_request(whole, text_limit=100))
    start = {"event": "start", name: value}
    assert fits(described, "start", start) == accepts(lambda: parse_start(start))
    assert set(VALUES) - {"speaker"} == set(BY_NAME)


def accepts(parse):
    try:
        parse()
    except Fr02Error:
        return False
    return True


@pytest.mark.parametrize("message", [m for m, _, _ in LATER_MESSAGES.values() if isinstance(m, dict | list)])
def test_what_a_session_refuses_is_not_described(described, message):
    limit = payload(described, "text")["properties"]["text"]["maxLength"]
    known = any(fits(described, name, message) for name in CLIENT_EVENTS if name != "start")
    assert not known
    assert not accepts(lambda: parse_message(message)) or len(message["text"]) > limit


@pytest.mark.parametrize("text", ["", " ", "Oui", "e\u0301"])
def test_every_piece_of_text_is_described(described, text):
    message = {"event": "text", "text": text}
    assert fits(described, "text", message)
    assert accepts(lambda: parse_message(message))


def test_what_a_session_says_is_described(server, alice, described):
    with talking(server.url, alice.headers, temperature=1.2) as talk:
        talk.say("text", text=TEXT)
        talk.say("flush")
        talk.hear("flushed")
        talk.say("cancel")
        talk.say("stop")
        assert talk.hear_all() == 1000
    _sounds, texts, _code = listen(server.url, alice.headers, json.dumps(FIRST_MESSAGES["out of range"][0]))
    events = [*talk.events, *map(json.loads, texts)]
    replies = described["operations"]["session"]["reply"]["messages"]
    names = {reference["$ref"].split("/")[-1] for reference in replies}
    assert {event["event"] for event in events} == names - {"audio"}
    for event in events:
        assert fits(described, event["event"], event), event


@pytest.mark.parametrize("name", ["out of range", "unknown voice"])
def test_what_a_one_shot_says_is_described(server, alice, described, name):
    message, close_code, _code = BAD_MESSAGES[name]
    sounds, texts, closed = listen(server.url, alice.headers, message)
    assert (sounds, closed) == ([], close_code)
    assert fits(described, "problem", json.loads(texts[0]))
    assert str(close_code) in described["channels"]["speech"]["description"]
    assert fits(described, "request", json.loads(say()))
