import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.text.segments import SENTENCE_CHARS, TAIL_CHARS, Limits, ready_length, split_text

PIECES = st.sampled_from(
    [
        "Bonjour",
        "M. Dupont",
        "1 234,56 €",
        " ",
        ". ",
        ", ",
        "\n",
        "\n\n",
        "! ",
        "é",
        "a\u0301",
        "😀",
        "你好。",
        "x" * 90,
        "https://a.fr/b",
    ]
)
LONG = (
    "La plateforme permet aux développeurs français d'intégrer une voix naturelle "
    "dans leurs produits, "
    "sans attendre et sans abonnement. M. Dupont a payé 1 234,56 € le 12/05/2024 à 15 h 30 ; "
    "p. ex. pour un essai. Fin."
)


def test_it_works():
    segments = split_text(LONG)
    assert "".join(segments) == LONG
    assert len(segments[0]) <= 40
    assert len(segments) >= 4


def test_the_first_segment_ends_inside_the_first_sentence():
    assert "." not in split_text(LONG)[0]


@pytest.mark.parametrize(
    "whole",
    [
        "1 234,56 €",
        "M. Dupont",
        "15 h 30",
        "12/05/2024",
        "p. ex. pour",
        "https://exemple.fr/a.b?c=1,2",
        "n° 5",
        "Louis XIV",
        "01 23 45 67 89",
        "J. Verne",
        "art. 293",
        "contact@exemple.fr",
        "-5 °C",
        "1\u202f234,56\u00a0€",
    ],
)
def test_it_never_cuts_inside(whole):
    for before in range(0, 150, 3):
        text = (
            "mot " * (before // 4)
            + "a" * (before % 4)
            + " "
            + whole
            + " et la suite de cette phrase, qui continue."
        )
        assert any(whole in segment for segment in split_text(text)), (before, split_text(text))


def test_a_sentence_end_is_preferred():
    text = (
        "Première phrase assez longue. Deuxième phrase tout aussi longue que la première. Troisième phrase."
    )
    assert split_text(text)[0] == "Première phrase assez longue. "


def test_short_text_is_one_segment():
    assert split_text("Le train pour Lyon part à 15 h 30.") == ["Le train pour Lyon part à 15 h 30."]


def test_a_first_limit_of_its_own():
    assert len(split_text(LONG, Limits(first=28))[0]) <= 28
    assert len(split_text(LONG, Limits(first=90))[0]) > 40


def test_text_without_spaces_is_cut():
    assert max(map(len, split_text("x" * 3_000))) <= SENTENCE_CHARS + TAIL_CHARS
    assert max(map(len, split_text("你好世界" * 500))) <= SENTENCE_CHARS + TAIL_CHARS


def test_an_accent_stays_with_its_letter():
    for segment in split_text("e\u0301" * 500):
        assert not segment.startswith("\u0301")


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=600), st.lists(PIECES, max_size=60).map("".join)))
def test_the_segments_are_the_text(text):
    segments = split_text(text)
    assert "".join(segments) == text
    assert all(segments)
    assert all(len(segment) <= SENTENCE_CHARS + TAIL_CHARS for segment in segments)


def written_slowly(text):
    """Return the parts that are ready while a text is written letter by letter, and what is left of it."""
    parts, tail = [], ""
    for letter in text:
        tail += letter
        ready = ready_length(tail, is_start=not parts)
        if ready:
            parts.append(tail[:ready])
            tail = tail[ready:]
    return parts, tail


def test_sentences_are_ready_once_something_follows_them():
    text = "Bonjour à tous, M. Dupont vous attend au 3 p. 12. Il est 15 h 30. Oui ? Bien"
    parts, tail = written_slowly(text)
    assert parts == ["Bonjour à tous, ", "M. Dupont vous attend au 3 p. 12. ", "Il est 15 h 30. ", "Oui ? "]
    assert tail == "Bien"


def test_a_sentence_without_end_is_spoken_in_breaths():
    parts, tail = written_slowly("je parle et je parle encore sans jamais reprendre mon souffle " * 20)
    assert len(parts) > 5
    assert all(len(part) <= 160 for part in parts)
    assert len(tail) < 170


@given(st.text(max_size=400))
def test_what_is_ready_is_never_all_of_it(text):
    assert 0 <= ready_length(text, is_start=True) <= max(0, len(text) - 1)
    assert 0 <= ready_length(text, is_start=False) <= max(0, len(text) - 1)
