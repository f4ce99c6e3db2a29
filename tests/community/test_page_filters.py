"""`/communaute/` without a browser: its filters, its links and what it says of numbers."""

import re

import pytest

from community import search

PAGE = "/communaute/"


def shown(client, **query):
    answer = client.get(PAGE, query)
    assert answer.status_code == 200
    return answer.content.decode()


def titles(said):
    return re.findall(r'<h3 dir="auto">(.*?)</h3>', said)


@pytest.mark.parametrize("language", ["sv", "sv-SE", "SV_se"])
def test_the_mark_of_a_language_leads_to_its_voices(client, make_voice, language):
    """Even of one that the list does not name."""
    make_voice("Suédoise", languages=[language])
    make_voice("Française", languages=["fr"])
    said = shown(client)
    assert f'href="/communaute/?language={language}"' in said
    said = shown(client, language=language)
    assert titles(said) == ["Suédoise"]
    assert '<option value="sv" selected>sv</option>' in said


def test_a_region_chooses_its_language(client, make_voice):
    make_voice("Québécoise", languages=["fr-CA"])
    said = shown(client, language="fr-CA")
    assert "Québécoise" in titles(said)
    assert '<option value="fr" selected>français</option>' in said
    assert said.count('<option value="fr"') == 1


def test_what_is_no_language_counts_as_none(client, make_voice):
    make_voice("Une")
    said = shown(client, language="<1>")
    assert "Une" in titles(said)
    assert "&lt;1" not in said


def test_an_estimated_number_is_said_to_be_one(client, make_voice, monkeypatch):
    make_voice("Une")
    assert "Environ" not in shown(client)
    monkeypatch.setattr(search, "_estimated_whole", lambda: 1_234_567)
    said = re.sub(r"\s", " ", shown(client))
    assert "Environ 1 235 000 voix indexées" in said
