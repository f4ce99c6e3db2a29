"""`GET /api/v1/tts/history`, its items and subtitles. Alice owns, Bob must see nothing."""

import pytest

from billing.services import hold_credit
from tts.models import Generation


@pytest.fixture
def spoken(alice):
    """Three finished syntheses of Alice's, the newest last."""
    segments = [
        {"text": "Un <b>premier</b> essai,", "start_ms": 0, "end_ms": 1500},
        {"text": "puis la suite.", "start_ms": 1500, "end_ms": 3_661_042},
    ]
    return [
        Generation.objects.create(
            user=alice.user,
            hold=hold_credit(user_id=alice.user.pk, amount_micros=0, life_s=60),
            engine="kokoro",
            source="rest",
            status=status,
            text=text,
            voice_title="Ma première voix",
            format="mp3",
            sample_rate=24_000,
            characters=len(text),
            segments=segments,
        )
        for status, text in (
            ("done", "Un premier essai, puis la suite."),
            ("failed", "Été"),
            ("done", "Bonsoir 100 %"),
        )
    ]


def history(client, person, **query):
    return client.get("/api/v1/tts/history", query, headers=person.headers)


def test_it_works(client, alice, spoken):
    body = history(client, alice).json()
    assert [item["text"] for item in body["history"]] == [
        "Bonsoir 100 %",
        "Été",
        "Un premier essai, puis la suite.",
    ]
    assert (body["page"], body["page_size"], body["total"], body["next"]) == (1, 20, 3, None)
    assert {"voice_id", "cost_micros", "audio_url", "source", "created_at", "size"} < set(body["history"][0])


def test_pages(client, alice, spoken):
    body = history(client, alice, page=2, page_size=2).json()
    assert [item["text"] for item in body["history"]] == ["Un premier essai, puis la suite."]
    assert body["next"] is None
    assert history(client, alice, page=1, page_size=2).json()["next"] == 2


def test_filters(client, alice, spoken):
    assert history(client, alice, status="failed").json()["total"] == 1
    assert history(client, alice, search="bonsoir").json()["total"] == 1
    assert history(client, alice, search="100 %").json()["total"] == 1
    assert history(client, alice, **{"from": "2020-01-01", "to": "2020-12-31"}).json()["total"] == 0
    assert history(client, alice, **{"from": "2020-01-01T00:00:00Z"}).json()["total"] == 3
    assert history(client, alice, voice_id="0" * 32).json()["total"] == 0


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("2026-11-22T15:30:00+16:15", 200),  # more than PostgreSQL takes as an offset
        ("0554-10-28T22:57:37.01450-23:59", 200),
        ("0001-01-01T00:00:00+10:00", 400),
        ("9999-12-31T23:59:59-10:00", 400),
    ],
)
def test_moments_far_away(client, alice, spoken, moment, status):
    for name in ("from", "to"):
        assert history(client, alice, **{name: moment}).status_code == status


def test_a_date_means_the_whole_day(client, alice, spoken):
    """In Paris, as everywhere in FR02: its last minute belongs to it, the next day's first does not."""
    for row, moment in zip(
        spoken,
        ("2026-07-13T22:00:00+00:00", "2026-07-14T21:59:59.999999+00:00", "2026-07-14T22:00:00+00:00"),
        strict=True,
    ):
        Generation.objects.filter(pk=row.pk).update(created_at=moment)
    day = {"from": "2026-07-14", "to": "2026-07-14"}
    assert {item["id"] for item in history(client, alice, **day).json()["history"]} == {
        str(row.pk) for row in spoken[:2]
    }
    assert history(client, alice, to="2026-07-13").json()["total"] == 0
    assert history(client, alice, to="2026-07-14T21:59:59Z").json()["total"] == 1


@pytest.mark.parametrize(("name", "status"), [("from", 400), ("to", 200)])
def test_the_first_of_all_days(client, alice, name, status):
    """Its midnight in Paris is before the beginning of time in UTC."""
    assert history(client, alice, **{name: "0001-01-01"}).status_code == status


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"page": "0"}, "/page"),
        ({"page": "x"}, "/page"),
        ({"page": "9" * 30}, "/page"),
        ({"page_size": "101"}, "/page_size"),
        ({"status": "?"}, "/status"),
        ({"from": "hier"}, "/from"),
        ({"to": "2026-13-45"}, "/to"),
    ],
)
def test_bad_queries(client, alice, query, pointer):
    answer = history(client, alice, **query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_others_see_nothing(client, alice, bob, spoken):
    assert history(client, bob).json()["total"] == 0
    for method in (client.get, client.delete):
        assert method(f"/api/v1/tts/history/{spoken[0].pk}", headers=bob.headers).status_code == 404
    assert (
        client.get(f"/api/v1/tts/history/{spoken[0].pk}/subtitles.srt", headers=bob.headers).status_code
        == 404
    )
    assert client.get("/api/v1/tts/history").status_code == 401


def test_subtitles(client, alice, spoken):
    srt = client.get(
        f"/api/v1/tts/history/{spoken[0].pk}/subtitles.srt", headers=alice.headers
    ).content.decode()
    assert srt.startswith(
        "1\n00:00:00,000 --> 00:00:01,500\nUn <b>premier</b> essai,\n\n2\n00:00:01,500 --> 01:01:01,042\n"
    )
    vtt = client.get(
        f"/api/v1/tts/history/{spoken[0].pk}/subtitles.vtt/", headers=alice.headers
    ).content.decode()
    assert vtt.startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\nUn &lt;b>premier")


def test_deletion_erases_the_text(client, alice, spoken):
    assert client.delete(f"/api/v1/tts/history/{spoken[0].pk}", headers=alice.headers).status_code == 204
    assert client.get(f"/api/v1/tts/history/{spoken[0].pk}", headers=alice.headers).status_code == 404
    spoken[0].refresh_from_db()
    assert (spoken[0].text, spoken[0].segments, spoken[0].audio_name) == ("", [], "")


def test_ten_thousand_rows_cost_as_many_queries_as_ten(client, alice, spoken, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        history(client, alice)
