"""`POST /api/v1/voices/` with a blend: local voices are mixed into a private one."""

import httpx
import pytest

from tests.tts.sound import measure
from tts import api_preview
from voices.builtin import builtin_id
from voices.models import Voice

SIWIS, HEART, ADAM = (builtin_id(style) for style in ("ff_siwis", "af_heart", "am_adam"))


def post(client, person, body, path="/api/v1/voices/"):
    return client.post(path, body, "application/json", headers=person.headers)


def blend(*parts, **fields):
    return {
        "title": "Duo",
        "blend": [{"voice_id": voice, "weight": weight} for voice, weight in parts],
    } | fields


def post_to(server, person, body, path):
    headers = person.headers | {"Accept": "audio/*"}
    return httpx.post(f"{server.url}{path}", json=body, headers=headers, timeout=30)


def test_it_works(client, alice):
    answer = post(client, alice, blend((SIWIS, 3), (HEART, 1), tags=["doux"], description="À deux"))
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["state"], body["engine"], body["languages"]) == ("trained", "kokoro", ["fr"])
    voice = Voice.objects.get(public_id=body["fish_audio_model_id"])
    assert voice.reference == {"styles": [["ff_siwis", 0.75], ["af_heart", 0.25]], "language": "fr-fr"}
    assert (voice.kind, voice.owner, voice.visibility) == ("blend", alice.user, "private")


def test_a_blend_speaks_and_sounds_like_neither_of_its_parts(server, alice, client):
    voice_id = post(client, alice, blend((SIWIS, 1), (HEART, 1))).json()["fish_audio_model_id"]
    answer = post_to(
        server, alice, {"text": "Bonjour à tous.", "voice_id": voice_id, "format": "wav"}, "/api/v1/tts/"
    )
    assert answer.status_code == 200, answer.text
    seconds, peak = measure(answer.content)
    assert 0.5 < seconds < 4
    assert peak > 0.05
    alone = post_to(
        server, alice, {"text": "Bonjour à tous.", "voice_id": SIWIS, "format": "wav"}, "/api/v1/tts/"
    )
    assert alone.content != answer.content


def test_a_blend_of_blends_counts_its_styles(client, alice):
    first = post(client, alice, blend((SIWIS, 1), (HEART, 1))).json()["fish_audio_model_id"]
    second = post(client, alice, blend((first, 1), (SIWIS, 1))).json()["fish_audio_model_id"]
    assert Voice.objects.get(public_id=second).reference["styles"] == [["ff_siwis", 0.75], ["af_heart", 0.25]]


def test_only_proportions_matter(client, alice):
    for scale in (0.001, 1000):
        voice_id = post(client, alice, blend((SIWIS, 2 * scale), (ADAM, scale))).json()["fish_audio_model_id"]
        styles = Voice.objects.get(public_id=voice_id).reference["styles"]
        assert styles == [["ff_siwis", 0.666667], ["am_adam", 0.333333]]


def test_the_smallest_weights_count_too(client, alice):
    own = post(client, alice, blend((SIWIS, 1), (HEART, 1))).json()["fish_audio_model_id"]
    answer = post(client, alice, blend((own, 5e-324)))
    assert answer.status_code == 201
    voice = Voice.objects.get(public_id=answer.json()["fish_audio_model_id"])
    assert dict(voice.reference["styles"]) == {"ff_siwis": 0.5, "af_heart": 0.5}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (blend(), "/blend"),
        (
            blend(
                *[
                    (builtin_id(style), 1)
                    for style in ("ff_siwis", "af_heart", "am_adam", "bf_emma", "bm_lewis", "if_sara")
                ]
            ),
            "/blend",
        ),
        (blend((SIWIS, 1), (SIWIS, 1)), "/blend"),
        (blend((SIWIS, 0)), "/blend/0/weight"),
        (blend((SIWIS, -1)), "/blend/0/weight"),
        (blend((SIWIS, 1), (HEART, -1)), "/blend/1/weight"),
        (blend((SIWIS, 1), **{"a/b~c": 1}), "/a~1b~0c"),
        ([blend((SIWIS, 1))], ""),
        (blend((SIWIS, "NaN")), "/blend/0/weight"),
        (blend((SIWIS, "beaucoup")), "/blend/0/weight"),
        (blend((SIWIS, "3")), "/blend/0/weight"),
        (blend((SIWIS, True)), "/blend/0/weight"),
        (blend((12345, 1)), "/blend/0/voice_id"),
        (blend((SIWIS, 1), title=5), "/title"),
        (blend((SIWIS, 1), tags=[5]), "/tags/0"),
        (blend((SIWIS, 1), language="klingon"), "/language"),
        (blend((SIWIS, 1), title=""), "/title"),
        (blend((SIWIS, 1), title="\u200b"), "/title"),
        (blend((SIWIS, 1), titel="?"), "/titel"),
        (blend((SIWIS, 1), tags=[f"t{n}" for n in range(21)]), "/tags"),
        ({"title": "Rien"}, "/blend"),
    ],
)
def test_what_makes_no_sense_is_named(client, alice, body, pointer):
    answer = post(client, alice, body)
    assert answer.status_code == 400
    assert pointer in [item["pointer"] for item in answer.json()["errors"]]


def test_somebody_elses_voice_is_not_there(client, alice, charlie):
    for voice_id in (alice.starter_id, "0" * 32, "nimporte"):
        answer = post(client, charlie, blend((voice_id, 1)))
        assert (answer.status_code, answer.json()["code"]) == (404, "voice_not_found")


def test_clones_cannot_be_mixed(client, alice):
    clone = Voice.objects.create(
        owner=alice.user, kind="clone", engine="fish", title="Clone", reference={"id": "1" * 32}
    )
    answer = post(client, alice, blend((clone.public_id, 1)))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/blend/0/voice_id"


def test_it_is_heard_before_it_is_saved(server, alice):
    body = {"blend": [{"voice_id": SIWIS, "weight": 1}, {"voice_id": HEART, "weight": 1}]}
    answer = post_to(server, alice, body, "/api/v1/tts/blend-preview")
    assert answer.status_code == 200, answer.text
    seconds, peak = measure(answer.content)
    assert 0.8 < seconds < 5
    assert peak > 0.05
    assert not Voice.objects.filter(kind="blend").exists()
    assert not alice.user.generations.exists()


def test_a_preview_is_refused_like_the_blend_itself(server, alice, charlie):
    answer = post_to(
        server, charlie, {"blend": [{"voice_id": alice.starter_id, "weight": 1}]}, "/api/v1/tts/blend-preview"
    )
    assert answer.status_code == 404
    answer = post_to(server, alice, {"blend": []}, "/api/v1/tts/blend-preview")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/blend")
    answer = post_to(server, alice, {"blend": [], "text": "Gratuit !"}, "/api/v1/tts/blend-preview")
    assert answer.status_code == 400


def test_previews_are_counted(alice, monkeypatch):
    monkeypatch.setattr(api_preview, "PER_MINUTE", 2)
    for _number in range(2):
        api_preview.count_preview(-alice.user.pk)
    with pytest.raises(api_preview.errors.RateLimited):
        api_preview.count_preview(-alice.user.pk)
