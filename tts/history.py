"""What the history shows: pages, items, subtitles, and the answer of a synthesis."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from billing.services import credit_of
from fr02.errors import InvalidRequest, NotFound
from tts.links import audio_link
from tts.models import Generation

MAX_PAGE_SIZE = 100
MAX_PAGE = 1_000_000


@dataclass(frozen=True)
class HistoryQuery:
    """What part of the history is asked for. `page` counts from 1."""

    page: int = 1
    page_size: int = 20
    voice_id: str = ""
    status: str = ""
    since: datetime | None = None
    until: datetime | None = None
    search: str = ""


def parse_query(params: Mapping[str, str]) -> HistoryQuery:
    """Return the query of an address. Raises InvalidRequest."""
    status = params.get("status", "")
    if status and status not in Generation.Status.values:
        detail = _("Valeurs possibles\u00a0: {choices}.").format(choices=", ".join(Generation.Status.values))
        raise InvalidRequest(detail, pointers=[("/status", detail)])
    return HistoryQuery(
        page=_integer(params, "page", 1, MAX_PAGE),
        page_size=_integer(params, "page_size", 20, MAX_PAGE_SIZE),
        voice_id=params.get("voice_id", "").replace("\0", ""),
        status=status,
        since=_moment(params, "from", time.min),
        until=_moment(params, "to", time.max),
        search=params.get("search", "").replace("\0", "")[:200],
    )


def page_of(user_id: int, query: HistoryQuery) -> dict[str, Any]:
    """Return one page of the account's history."""
    rows = _matching(user_id, query)
    total = rows.count()
    start = (query.page - 1) * query.page_size
    shown = list(rows.select_related("voice")[start : start + query.page_size])
    return {
        "history": [item(generation) for generation in shown],
        "page": query.page,
        "page_size": query.page_size,
        "total": total,
        "next": query.page + 1 if start + query.page_size < total else None,
    }


def find(user_id: int, generation_id: uuid.UUID) -> Generation:
    """Return a synthesis of the account. Raises NotFound, also for what belongs to somebody else."""
    generation = Generation.objects.of(user_id).select_related("voice").filter(pk=generation_id).first()
    if generation is None:
        raise NotFound(_("Cette synthèse n’existe pas."))
    return generation


def item(generation: Generation) -> dict[str, Any]:
    """Return a synthesis as the history shows it."""
    url, expires_at = audio_link(generation)
    return {
        "id": str(generation.pk),
        "text": generation.text,
        "voice_id": generation.voice.public_id if generation.voice else None,
        "voice_title": generation.voice_title,
        "format": generation.format,
        "sample_rate": generation.sample_rate,
        "duration_ms": generation.duration_ms,
        "size": generation.size,
        "characters": generation.characters,
        "billed_characters": generation.billed_characters,
        "cost_micros": generation.cost_micros,
        "status": generation.status,
        "failure": generation.failure or None,
        "warnings": generation.warnings,
        "source": generation.source,
        "audio_url": url,
        "audio_url_expires_at": _iso(expires_at),
        "created_at": _iso(generation.created_at),
    }


def speech(generation: Generation, balance_micros: int) -> dict[str, Any]:
    """Return the answer of `POST /api/v1/tts/`."""
    url, expires_at = audio_link(generation)
    return {
        "id": str(generation.pk),
        "status": generation.status,
        "voice_id": generation.voice.public_id if generation.voice else None,
        "format": generation.format,
        "sample_rate": generation.sample_rate,
        "duration_ms": generation.duration_ms,
        "size": generation.size,
        "characters": generation.characters,
        "cost_micros": generation.cost_micros,
        "balance_micros": balance_micros,
        "audio_url": url,
        "audio_url_expires_at": _iso(expires_at),
        "warnings": generation.warnings,
        "created_at": _iso(generation.created_at),
    }


def replayed(generation: Generation) -> dict[str, Any]:
    """Return the answer kept for an idempotency key, with a new link only where the old one has expired."""
    kept = generation.response
    if kept is None:
        # The first request streamed its audio: the row says the same.
        whole = Generation.objects.select_related("voice").get(pk=generation.pk)
        return speech(whole, credit_of(generation.user_id).balance_micros)
    if datetime.fromisoformat(kept["audio_url_expires_at"]) > timezone.now():
        return dict(kept)
    url, expires_at = audio_link(generation)
    return kept | {"audio_url": url, "audio_url_expires_at": _iso(expires_at)}


def subtitles(generation: Generation, kind: str) -> str:
    """Return the text with its times as SubRip (srt) or WebVTT (vtt)."""
    comma = "," if kind == "srt" else "."
    cues = []
    for number, segment in enumerate(generation.segments, 1):
        words = segment["text"].strip()
        if words:
            # Markup of the formats cannot come from the text.
            words = (
                words.replace("&", "&amp;").replace("<", "&lt;").replace("-->", "→")
                if kind == "vtt"
                else words
            )
            span = f"{_clock(segment['start_ms'], comma)} --> {_clock(segment['end_ms'], comma)}"
            cues.append(f"{number}\n{span}\n{' '.join(words.split())}\n")
    return ("WEBVTT\n\n" if kind == "vtt" else "") + "\n".join(cues)


def _matching(user_id: int, query: HistoryQuery) -> QuerySet[Generation]:
    rows: QuerySet[Generation] = Generation.objects.of(user_id)
    if query.voice_id:
        rows = rows.filter(voice__public_id=query.voice_id)
    if query.status:
        rows = rows.filter(status=query.status)
    if query.since:
        rows = rows.filter(created_at__gte=query.since)
    if query.until:
        rows = rows.filter(created_at__lte=query.until)
    if query.search:
        rows = rows.filter(text__icontains=query.search)
    return rows


def _integer(params: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    raw = params.get(name, "") or str(default)
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 10 and 1 <= int(raw) <= maximum):
        detail = _("Un nombre entier de 1 à {maximum} est attendu.").format(maximum=maximum)
        raise InvalidRequest(detail, pointers=[(f"/{name}", detail)])
    return int(raw)


def _moment(params: Mapping[str, str], name: str, of_day: time) -> datetime | None:
    """Return a moment, or the one at `of_day` where a date alone is given: from one date to another, both whole."""
    raw = params.get(name, "")
    if not raw:
        return None
    try:
        # The date first: as a moment it would be its own midnight.
        if day := parse_date(raw):
            return timezone.make_aware(datetime.combine(day, of_day)).astimezone(UTC)
        if moment := parse_datetime(raw.replace(" ", "+")):
            # In UTC: PostgreSQL knows no offsets beyond 15:59 hours.
            return (moment if timezone.is_aware(moment) else timezone.make_aware(moment)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    detail = _("Une date ISO 8601 est attendue, par exemple 2026-11-22 ou 2026-11-22T15:30:00Z.")
    raise InvalidRequest(detail, pointers=[(f"/{name}", detail)])


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def _clock(ms: int, comma: str) -> str:
    seconds, milliseconds = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{comma}{milliseconds:03}"
