"""GET /api/v1/community/models: what it finds, in which order, on which page."""

import pytest
from django.db import connection
from django.db.models import Value
from django.db.models.functions import Concat

from community import index, search
from community.index import refresh_index
from voices.models import Voice

URL = "/api/v1/community/models"
KEYS = {
    "fish_audio_id",
    "title",
    "author_nickname",
    "description",
    "languages",
    "tags",
    "like_count",
    "task_count",
    "cover_image",
    "sample_url",
    "created_at",
}


@pytest.fixture
def find(client, alice):
    """Return a function that searches and returns the answer's body."""

    def ask(**query):
        response = client.get(URL, query, headers=alice.headers)
        assert response.status_code == 200, response.content
        return response.json()

    return ask


def titles(body):
    return [model["title"] for model in body["models"]]


def test_it_works(find, make_voice):
    voice = make_voice("Président de la République", tags=["politique"], task_count=7)
    body = find(search="président", page=1, page_size=10)
    (model,) = body.pop("models")
    assert body == {"page": 1, "page_size": 10, "total": 1, "total_is_exact": True, "has_more": False}
    assert set(model) == KEYS
    assert model["fish_audio_id"] == voice.public_id
    assert model["author_nickname"] == "Auteur"
    assert model["task_count"] == 7


@pytest.mark.parametrize("path", [URL, f"{URL}/"])
def test_both_spellings_answer_directly(client, alice, path):
    assert client.get(path, headers=alice.headers).status_code == 200


def test_the_pages_script_searches_by_its_query(client, alice, make_voice):
    make_voice("Donald Trump")
    response = client.get(f"{URL}?search=trump&page=1&page_size=10", headers=alice.headers)
    assert titles(response.json()) == ["Donald Trump"]


def test_empty_search_shows_all_the_most_used_first(find, make_voice):
    make_voice("Peu", task_count=1)
    make_voice("Beaucoup", task_count=10)
    body = find(search="")
    assert titles(body)[:2] == ["Beaucoup", "Peu"]
    assert body["total"] == Voice.objects.public().count() == 56
    assert body["total_is_exact"]


@pytest.mark.parametrize(
    "asked",
    [
        "Éléonore",
        "eleonore",
        "ELEONORE",
        "éléo",
        "e\u0301le\u0301onore",
        "eleonroe",
        "elonore",
        "léonor",
        "œuvre",
    ],
)
def test_accents_case_typos_and_parts_do_not_matter(find, make_voice, asked):
    make_voice("Éléonore, cœur d’Œuvre")
    make_voice("Quelqu’un d’autre")
    assert titles(find(search=asked)) == ["Éléonore, cœur d’Œuvre"]


@pytest.mark.parametrize(
    ("asked", "count"), [("旁白", 1), ("女声", 1), ("声", 1), ("女白", 0), ("中文女", 1)]
)
def test_chinese_is_found_by_parts(find, make_voice, asked, count):
    make_voice("中文女声旁白", languages=["zh"])
    assert len(find(search=asked)["models"]) == count


def test_each_word_must_be_found(find, make_voice):
    make_voice("Voix calme", author_nickname="Marie")
    make_voice("Voix rapide", author_nickname="Marie")
    assert titles(find(search="marie calme")) == ["Voix calme"]


def test_tags_are_words_too(find, make_voice):
    make_voice("Une voix", tags=["Narration"])
    assert titles(find(search="narration")) == ["Une voix"]


def test_words_come_before_parts_of_words(find, make_voice):
    make_voice("Martin")
    make_voice("Saintmartin")
    assert titles(find(search="martin")) == ["Martin"]
    assert titles(find(search="intmart")) == ["Saintmartin"]


@pytest.mark.parametrize("asked", ["%", "_", "'", "\\", "';--", "&|!():*", "…", "@fr", "#calme"])
def test_signs_are_not_a_query_language(find, make_voice, asked):
    make_voice("Banale", tags=["paisible"])
    assert "Banale" not in titles(find(search=asked))


def test_one_letter_is_a_beginning(find, make_voice):
    make_voice("Zoé")
    make_voice("Gaz")
    assert titles(find(search="z", language="fr")) == ["Zoé"]


def test_filters_by_language_and_tag(find, make_voice):
    make_voice("Une", languages=["fr"], tags=["Voix générée"])
    make_voice("Deux", languages=["en"], tags=["voix generee"])
    make_voice("Trois", languages=["fr-CA"], tags=["autre"])
    assert titles(find(tag="VOIX GÉNÉRÉE")) == ["Deux", "Une"]
    assert titles(find(tag="voix générée", language="fr")) == ["Une"]
    assert "Trois" in titles(find(language="fr", sort_by="recent"))
    assert find(language="xx")["models"] == []


@pytest.mark.parametrize("asked", ["l'homme", "L’homme", "qu’homme", "d'homme l'ete", "homme l’Été"])
def test_elided_articles_are_not_asked_for(find, make_voice, asked):
    make_voice("Homme d’été")
    assert titles(find(search=asked)) == ["Homme d’été"]


def test_an_apostrophe_within_a_word_stays(find, make_voice):
    make_voice("Aujourd’hui")
    make_voice("Aujourd")
    assert titles(find(search="aujourd'hui")) == ["Aujourd’hui"]


@pytest.mark.parametrize("tag", ["🎉", "❤️", "👩‍🎤", "★★"])
def test_a_tag_of_signs_leads_to_its_voices(find, make_voice, tag):
    make_voice("Fête", tags=[tag])
    make_voice("Autre", tags=["🎈"])
    assert titles(find(tag=tag)) == ["Fête"]
    assert find(tag="…")["models"] == []


def test_a_correction_keeps_to_the_filters(find, make_voice):
    """The nearest word of all is another language's."""
    for _number in range(3):
        make_voice("Narrator", languages=["en"])
    make_voice("Narrateur", languages=["fr"])
    refresh_index()
    assert titles(find(search="narratour", language="fr")) == ["Narrateur"]
    assert titles(find(search="narratour", language="en")) == ["Narrator"] * 3
    assert titles(find(search="narratour", language="de")) == []


def test_orders(find, make_voice):
    make_voice("Ancre bleue", task_count=1, like_count=9)
    make_voice("Bleue", task_count=2, like_count=1)
    make_voice("Grande bleue", task_count=3, like_count=5)
    assert titles(find(search="bleue")) == ["Grande bleue", "Bleue", "Ancre bleue"]
    assert titles(find(search="bleue", sort_by="likes")) == ["Ancre bleue", "Grande bleue", "Bleue"]
    assert titles(find(search="bleue", sort_by="recent")) == ["Grande bleue", "Bleue", "Ancre bleue"]
    assert titles(find(search="bleue", sort_by="relevance")) == ["Bleue", "Grande bleue", "Ancre bleue"]


@pytest.mark.parametrize("sort_by", ["popular", "recent", "likes", "relevance"])
@pytest.mark.parametrize("query", [{}, {"search": "commune"}, {"language": "fr", "search": "commune"}])
def test_pages_show_each_voice_once_in_every_order(find, make_voice, monkeypatch, sort_by, query):
    _many(make_voice, 120)
    monkeypatch.setattr(search, "COUNT_LIMIT", 20)
    monkeypatch.setattr(index, "LEAST_IN_TOP", 2)
    refresh_index()
    seen: list[str] = []
    for page in range(1, 100):
        body = find(page=page, page_size=7, sort_by=sort_by, **query)
        seen += [model["fish_audio_id"] for model in body["models"]]
        if not body["has_more"]:
            break
    assert len(seen) == len(set(seen))
    assert set(seen) >= set(
        Voice.objects.filter(title__startswith="Commune").values_list("public_id", flat=True)
    )
    if query:
        assert len(seen) == 120


def test_tiers_give_the_same_pages_as_the_whole(find, make_voice, monkeypatch):
    _many(make_voice, 150)
    expected = [titles(find(search="commune", page=page, page_size=10)) for page in range(1, 17)]
    monkeypatch.setattr(search, "COUNT_LIMIT", 10)
    monkeypatch.setattr(index, "LEAST_IN_TOP", 2)
    refresh_index()
    make_voice("Commune neuve", task_count=10_000)
    Voice.objects.filter(title="Commune neuve").update(is_hidden=True)
    assert [titles(find(search="commune", page=page, page_size=10)) for page in range(1, 17)] == expected


def test_totals_stop_at_a_thousand(find, make_voice):
    _many(make_voice, 1_050)
    body = find(search="commune", page_size=100)
    assert (body["total"], body["total_is_exact"], body["has_more"]) == (1_001, False, True)
    body = find(search="commune", page_size=100, page=11)
    assert (len(body["models"]), body["has_more"]) == (50, False)
    body = find(search="commune", page_size=100, page=12)
    assert (body["models"], body["has_more"]) == ([], False)


def test_a_search_shows_its_first_ten_thousand(client, alice, find, make_voice, monkeypatch):
    monkeypatch.setattr(search, "DEEPEST", 40)
    monkeypatch.setattr(search, "COUNT_LIMIT", 20)
    _many(make_voice, 60)
    body = find(search="commune", page_size=10, page=4)
    assert (len(body["models"]), body["has_more"], body["total"]) == (10, False, 21)
    answer = client.get(URL, {"search": "commune", "page_size": 10, "page": 5}, headers=alice.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["errors"][0]["pointer"] == "/page"
    assert "premières voix" in answer.json()["detail"]
    # All of them may be gone through: that walks an index.
    assert len(find(page_size=10, page=6)["models"]) == 10
    page = client.get("/communaute/", {"search": "commune", "page": 1_000})
    assert page.status_code == 400
    assert "premières voix" in page.content.decode()


def test_a_word_of_the_unpopular_is_found_in_bounded_work(find, make_voice, monkeypatch):
    """A word without a match at the top, and with very many at the bottom: those are read in part."""
    monkeypatch.setattr(index, "LEAST_IN_TOP", 2)
    monkeypatch.setattr(search, "COUNT_LIMIT", 10)
    monkeypatch.setattr(search, "BAND_LIMIT", 25)
    _many(make_voice, 100)
    Voice.objects.filter(task_count__lt=20).update(search_text=Concat("search_text", Value(" brouillon")))
    wanted = set(Voice.objects.filter(task_count__lt=20).values_list("title", flat=True))
    assert len(wanted) > 25
    refresh_index()
    read = []

    def keep(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if "array_agg" in sql:
            read.append(sql)
        return result

    with connection.execute_wrapper(keep):
        body = find(search="brouillon", page_size=10)
    assert (body["total"], body["total_is_exact"], body["has_more"]) == (11, False, True)
    assert len(set(titles(body)) & wanted) == 10
    assert all("LIMIT 25" in sql for sql in read)


def test_a_page_far_behind_the_end_is_empty(find):
    assert find(page=100_000, page_size=100)["models"] == []


def test_what_is_not_public_is_not_found(find, make_voice, alice):
    make_voice("Secrète une", visibility="private", owner=alice.user)
    make_voice("Secrète deux", visibility="unlist")
    make_voice("Secrète trois", is_hidden=True)
    make_voice("Secrète quatre", state="training")
    gone = make_voice("Secrète cinq")
    Voice.objects.filter(pk=gone.pk).delete()
    assert find(search="secrète")["total"] == 0


def test_the_index_follows_every_change(find, make_voice):
    voice = make_voice("Changeante")
    for change in ({"is_hidden": True}, {"visibility": "private"}, {"deleted_at": "2026-01-01T00:00Z"}):
        Voice.objects.filter(pk=voice.pk).update(**change)
        assert find(search="changeante")["total"] == 0
        Voice.objects.filter(pk=voice.pk).update(is_hidden=False, visibility="public", deleted_at=None)
        assert find(search="changeante")["total"] == 1


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"page": 0}, "/page"),
        ({"page": "x"}, "/page"),
        ({"page": -1}, "/page"),
        ({"page": 10**30}, "/page"),
        ({"page_size": 0}, "/page_size"),
        ({"page_size": 101}, "/page_size"),
        ({"sort_by": "score"}, "/sort_by"),
        ({"search": "x" * 201}, "/search"),
        ({"search": "a\0b"}, "/search"),
        ({"language": "x" * 17}, "/language"),
        ({"tag": "x" * 65}, "/tag"),
    ],
)
def test_what_makes_no_sense_is_refused(client, alice, query, pointer):
    response = client.get(URL, query, headers=alice.headers)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["code"] == "invalid_request"
    assert [error["pointer"] for error in body["errors"]] == [pointer]
    assert body["errors"][0]["detail"]


def test_no_key_is_refused(client, db):
    assert client.get(URL).status_code == 401


def test_a_search_that_takes_too_long_is_given_up(client, alice, monkeypatch):
    monkeypatch.setattr(search, "STATEMENT_TIMEOUT_MS", 20)
    monkeypatch.setattr(search, "LEXEMES", f"(SELECT {search.LEXEMES} FROM pg_sleep(5))")  # noqa: S608
    response = client.get(URL, {"search": "commune"}, headers=alice.headers)
    assert response.status_code == 503
    assert response.json()["code"] == "search_timeout"
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _many(make_voice, count):
    template = make_voice("Commune 0", task_count=0)
    Voice.objects.bulk_create(
        Voice(
            title=f"Commune {number}",
            search_text=template.search_text.replace("0", str(number)),
            task_count=number * number % 97,
            like_count=number % 5,
            engine=template.engine,
            kind=template.kind,
            reference=template.reference,
            visibility=template.visibility,
        )
        for number in range(1, count)
    )
