"""`manage.py seed_community`: many playable voices, labelled as what they are."""

import pytest
from django.core.management import CommandError, call_command

from community.seed import mixture
from voices.builtin import STYLES
from voices.models import Voice


def seeded():
    return Voice.objects.filter(kind=Voice.Kind.SEEDED)


def test_it_works(client, alice):
    call_command("seed_community", count=300)
    assert seeded().count() == 300
    for voice in seeded():
        assert voice.title.startswith("Voix générée")
        assert "voix générée" in voice.tags
        assert "seed_community" in voice.description
        assert (voice.like_count, voice.task_count) == (0, 0)
        weights = [weight for style, weight in voice.reference["styles"] if style in STYLES]
        assert sum(weights) == pytest.approx(1)
        assert len(weights) == len(voice.reference["styles"])
    found = client.get("/api/v1/community/models", {"tag": "voix générée"}, headers=alice.headers).json()
    assert found["total"] == 300
    found = client.get("/api/v1/community/models", {"search": "trump"}, headers=alice.headers).json()
    assert found["models"] == []


def test_the_same_count_again_writes_nothing(db):
    call_command("seed_community", count=50)
    before = dict(seeded().values_list("public_id", "pk"))
    call_command("seed_community", count=50)
    assert dict(seeded().values_list("public_id", "pk")) == before
    call_command("seed_community", count=70)
    assert seeded().count() == 70
    assert before.items() <= dict(seeded().values_list("public_id", "pk")).items()


def test_a_voice_is_the_same_on_every_machine():
    assert mixture(1) == mixture(1)
    assert len({str(mixture(number)) for number in range(1, 1_001)}) > 900


@pytest.mark.parametrize("count", [-1, 10**9])
def test_what_makes_no_sense_is_refused(db, count):
    with pytest.raises(CommandError):
        call_command("seed_community", count=count)
