"""Fill the catalogue with playable voices, without Fish Audio: mixtures of built-in styles, labelled as
what they are.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from community.index import refresh_index
from voices.builtin import DEFAULT_STYLE, STYLES
from voices.models import Voice
from voices.words import search_text

BATCH = 10_000
# The same at every run, on every machine: only the number of a voice decides what it is.
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = """
    public_id engine reference kind state failure visibility title description author_nickname languages
    tags cover_image sample_url sample_text like_count task_count search_text is_hidden created_at updated_at
""".split()  # noqa: SIM905


def seed_voices(*, count: int, report: Any = None) -> int:
    """Make sure that the generated voices 1 to `count` exist. Returns how many were written.

    `report(done, total)` is called after each batch.
    """
    written = 0
    for first in range(1, count + 1, BATCH):
        numbers = range(first, min(first + BATCH, count + 1))
        written += _write_batch(numbers)
        if report:
            report(numbers[-1], count)
    if written:
        refresh_index()
    return written


def seeded_id(number: int) -> str:
    """Return the public id of a generated voice."""
    return hashlib.blake2b(f"seeded:{number}".encode(), digest_size=16).hexdigest()


@transaction.atomic
def _write_batch(numbers: range) -> int:
    with connection.cursor() as cursor:
        # Two commands at once would both find the same voices missing.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('community.seed'))")
        ids = {seeded_id(number): number for number in numbers}
        known = Voice.objects.filter(public_id__in=list(ids)).values_list("public_id", flat=True)
        missing = sorted(set(ids) - set(known), key=ids.__getitem__)
        if missing:
            command = f"COPY voices_voice ({', '.join(COLUMNS)}) FROM STDIN"
            with cursor.copy(command) as copy:
                for row in _rows(missing, ids):
                    copy.write_row(row)
    return len(missing)


def _rows(missing: list[str], ids: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    label, author = _("voix générée"), _("FR02, générée")
    description = _(
        "Voix générée par la commande seed_community en mélangeant des styles intégrés\u00a0: %(mixture)s. "
        "Elle n’imite personne."
    )
    for public_id in missing:
        styles = mixture(ids[public_id])
        names = " + ".join(
            f"{style[3:].capitalize()} {round(weight * 100)}\u00a0%" for style, weight in styles
        )
        title = _("Voix générée %(number)s · %(mixture)s") % {"number": ids[public_id], "mixture": names}
        tags = [label, _("féminine") if styles[1][0][1] == "f" else _("masculine")]
        yield (
            public_id, Voice.Engine.KOKORO, json.dumps({"styles": styles, "language": "fr-fr"}),
            Voice.Kind.SEEDED, Voice.State.TRAINED, "", Voice.Visibility.PUBLIC, title, description %
            {"mixture": names}, author,
            ["fr"], tags, "", "", "", 0, 0,
            search_text(title=title, author=author, tags=tags, languages=["fr"]), False, CREATED_AT,
            CREATED_AT,
        )  # fmt: skip


def mixture(number: int) -> list[list[Any]]:
    """Return the styles of a generated voice: mostly the French one, so that it speaks French, and one or
    two others.
    """
    dice = hashlib.blake2b(f"mixture:{number}".encode(), digest_size=8).digest()
    others = [style for style in STYLES if style != DEFAULT_STYLE]
    first = others[int.from_bytes(dice[:2]) % len(others)]
    second = others[int.from_bytes(dice[2:4]) % len(others)]
    french = 50 + dice[4] % 36
    if second == first or dice[5] % 2:
        return [[DEFAULT_STYLE, french / 100], [first, (100 - french) / 100]]
    share = 1 + dice[6] % (99 - french)
    return [[DEFAULT_STYLE, french / 100], [first, share / 100], [second, (100 - french - share) / 100]]
