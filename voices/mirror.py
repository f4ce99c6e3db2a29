"""What FR02 keeps of a voice that lives at Fish Audio. Its texts are hostile until they went through here."""

import hashlib
import json
import re
import unicodedata
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from voices.fish import FishModel
from voices.models import Voice
from voices.words import search_text

MAX_TAGS, MAX_LANGUAGES = 20, 10
MAX_COUNT = 2**31 - 1
# Emoji and Indic scripts are joined by these two; every other invisible format character (bidirectional
# overrides, soft hyphens, byte order marks, tags) can only make a text look like what it is not.
_JOINERS = "\u200c\u200d"
_STACKED_MARKS = re.compile(
    r"([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{3})[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]+"
)
_SAFE_URL = re.compile(r"https://[\x21-\x7e]+", re.ASCII)
_HOST = re.compile(r"https://([A-Za-z0-9.-]+)(?:[/?#]|$)", re.ASCII)
_SAFE_PATH = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]*", re.ASCII)
# What the mirror writes; moderation, likes and ownership are never among them.
MIRRORED_FIELDS = (
    "reference",
    "state",
    "visibility",
    "title",
    "description",
    "author_nickname",
    "languages",
    "tags",
    "cover_image",
    "sample_url",
    "sample_text",
    "like_count",
    "task_count",
    "created_at",
)


def clean_text(text: str, length: int, *, keeps_lines: bool = False) -> str:
    """Return a text fit to show: NFC, no control or invisible characters, no towers of accents, at most
    `length`.
    """
    text = text[: 4 * length].replace("\r\n", "\n") if keeps_lines else text[: 4 * length]
    kept = "".join(_visible(letter, keeps_lines) for letter in unicodedata.normalize("NFC", text))
    kept = _STACKED_MARKS.sub(r"\1", kept)
    lines = [" ".join(line.split()) for line in kept.split("\n")] if keeps_lines else [" ".join(kept.split())]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(" \n" + _JOINERS)[:length].rstrip()


def clean_url(url: str, length: int) -> str:
    """Return an https address or a plain relative path, else nothing: `javascript:` and friends never come
    in.
    """
    url = url.strip()
    fits = len(url) <= length and (_SAFE_URL.fullmatch(url) or _SAFE_PATH.fullmatch(url))
    return url if fits else ""


def mirrored_fields(model: FishModel) -> dict[str, Any]:
    """Return the values of MIRRORED_FIELDS for a voice of Fish Audio."""
    sample = model.samples[0] if model.samples else None
    return {
        "reference": {"id": model.id},
        "state": model.state if model.state in Voice.State.values else Voice.State.FAILED,
        "visibility": model.visibility
        if model.visibility in Voice.Visibility.values
        else Voice.Visibility.PRIVATE,
        "title": clean_text(model.title, 200) or _("Sans titre"),
        "description": clean_text(model.description, 5_000, keeps_lines=True),
        "author_nickname": clean_text(model.author_nickname, 100),
        "languages": _distinct((clean_text(item, 16).lower() for item in model.languages), MAX_LANGUAGES),
        "tags": _distinct((clean_text(item, 64) for item in model.tags), MAX_TAGS),
        "cover_image": clean_url(model.cover_image, 500),
        "sample_url": _sample_url(sample.audio) if sample else "",
        "sample_text": clean_text(sample.text, 2_000, keeps_lines=True) if sample else "",
        "like_count": min(model.like_count, MAX_COUNT),
        "task_count": min(model.task_count, MAX_COUNT),
        "created_at": model.created_at,
    }


def digest(fields: dict[str, Any]) -> bytes:
    """Return 16 bytes that change when anything of a mirrored voice changes."""
    return hashlib.blake2b(json.dumps(fields, sort_keys=True, default=str).encode(), digest_size=16).digest()


def is_listable(model: FishModel) -> bool:
    """Say whether the community may show a voice."""
    return model.visibility == "public" and model.state == "trained" and not model.is_taken_down


def mirrored_voice(model: FishModel) -> Voice:
    """Return the unsaved row of a voice of Fish Audio, as a mirrored one."""
    fields = mirrored_fields(model)
    return Voice(
        public_id=model.id,
        engine=Voice.Engine.FISH,
        kind=Voice.Kind.MIRRORED,
        source_digest=digest(fields),
        search_text=search_text(
            title=fields["title"],
            author=fields["author_nickname"],
            tags=fields["tags"],
            languages=fields["languages"],
        ),
        updated_at=timezone.now(),
        **fields,
    )


def can_return() -> Q:
    """Return what must hold of a voice that the mirror retired, and no person."""
    return Q(kind=Voice.Kind.MIRRORED, retired_at__isnull=False, is_hidden=False, deleted_at=None)


@transaction.atomic
def store_mirrored_voice(*, model: FishModel) -> Voice | None:
    """Keep a voice that was looked up by its id; None when the community may not speak with it.

    A row that came meanwhile, by a sync or another look-up, stays as it is; one that was retired is shown again, and
    brought up to date by the next sync.
    """
    if (
        model.is_taken_down
        or model.visibility == Voice.Visibility.PRIVATE
        or model.state != Voice.State.TRAINED
    ):
        return None
    Voice.objects.bulk_create([mirrored_voice(model)], ignore_conflicts=True)
    Voice.objects.filter(can_return(), public_id=model.id).update(
        retired_at=None, visibility=model.visibility, source_digest=None, updated_at=timezone.now()
    )
    return Voice.objects.get(public_id=model.id)


def _sample_url(url: str) -> str:
    """Return the address of a sample, of Fish Audio's own domains only: pages lead there."""
    cleaned = clean_url(url, 1_000)
    found = _HOST.match(cleaned)
    host = f".{found[1].lower()}" if found else ""
    return cleaned if any(host.endswith(f".{name}") for name in settings.FISH_SAMPLE_DOMAINS) else ""


def _visible(letter: str, keeps_lines: bool) -> str:
    if letter in _JOINERS or (keeps_lines and letter == "\n"):
        return letter
    category = unicodedata.category(letter)
    if letter in "\n\t\r" or category in ("Zl", "Zp"):
        return " "
    return "" if category in ("Cc", "Cf", "Cs", "Co", "Cn") else letter


def _distinct(items: Any, most: int) -> list[str]:
    return [item for item in dict.fromkeys(items) if item][:most]
