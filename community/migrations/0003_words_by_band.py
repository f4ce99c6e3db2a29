"""One index of words per tier, and of their parts per band of tiers, instead of nested ones."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import migrations
from django.db.models import F, Func, Q, Value

WORDS = Func(Func(F("search_text"), Value(" "), function="string_to_array"), function="array_to_tsvector")
NESTED = ("words", *(f"words_{tier}" for tier in range(1, 7)), "parts_4", "parts_2")
TIERS = range(7)
BANDS = ((4, 7), (2, 4))


def _words_in(tier: int) -> GinIndex:
    return GinIndex(WORDS, name=f"listing_words_in_{tier}", condition=Q(tier=tier))


def _parts_in(low: int, high: int) -> GinIndex:
    return GinIndex(
        OpClass("search_text", "gin_trgm_ops"),
        name=f"listing_parts_in_{low}",
        condition=Q(tier__gte=low, tier__lt=high),
    )


class Migration(migrations.Migration):
    dependencies = [("community", "0002_triggers"), ("voices", "0003_voice_hidden")]

    operations = [
        *(migrations.RemoveIndex("listing", f"listing_{name}") for name in NESTED),
        *(migrations.AddIndex("listing", _words_in(tier)) for tier in TIERS),
        *(migrations.AddIndex("listing", _parts_in(low, high)) for low, high in BANDS),
    ]
