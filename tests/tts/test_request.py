"""What the one description of the speech parameters refuses, and in which words."""

import pytest

from fr02.errors import InvalidRequest, TextTooLong
from tts.request import parse_speech_request


def refusal(limit=2_000, **body):
    with pytest.raises((InvalidRequest, TextTooLong)) as caught:
        parse_speech_request(body, text_limit=limit)
    return caught.value


def test_it_works():
    error = refusal(text="Oui.", speed=3, speaker=1)
    assert error.detail == (
        "Requête refusée. «\u202fspeaker\u202f»\u00a0: champ inconnu. "
        "«\u202fspeed\u202f»\u00a0: la valeur doit être comprise entre 0.5 et 2.0."
    )
    assert error.pointers == [
        ("/speaker", "Champ inconnu."),
        ("/speed", "La valeur doit être comprise entre 0.5 et 2.0."),
    ]


def test_of_many_fields_the_first_are_named():
    error = refusal(text="Oui.", **{f"x{number}": 1 for number in range(9)})
    assert error.detail.count("champ inconnu.") == 5
    assert error.detail.endswith("Les autres sont dans «\u202ferrors\u202f».")
    assert len(error.pointers) == 9


def test_of_a_long_name_the_beginning_is_shown():
    error = refusal(text="Oui.", **{"x" * 50_000: 1})
    assert len(error.detail) < 200
    assert error.pointers[0][0] == "/" + "x" * 50_000


@pytest.mark.parametrize(
    ("limit", "detail"),
    [
        (
            2_000,
            "Le texte dépasse 2\u202f000 caractères. "
            "Utilisez la WebSocket /api/v1/tts/stream, qui accepte 10\u202f000 caractères.",
        ),
        (10_000, "Le texte dépasse 10\u202f000 caractères. Découpez-le en plusieurs demandes."),
    ],
)
def test_a_long_text(limit, detail):
    error = refusal(limit, text="a" * (limit + 1))
    assert (error.detail, error.pointers) == (detail, [("/text", detail)])
    assert error.extra == {"limit_characters": limit}
