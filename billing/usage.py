"""Reports over what was delivered: usage for the customer, margin for the operator, the statement as CSV."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import ApiKey
from billing.models import Entry, Hold
from fr02.errors import InvalidRequest

YEARS = (2000, 2999)
DEFAULT_DAYS = 30
GROUPS = {"day": ("day",), "key": ("api_key_id",), "voice": ("voice_id",)}
# A cell that a spreadsheet would run, also behind spaces and on a later line of the cell.
FORMULA = re.compile(r"(^|[\r\n])[ \t\u00a0\u202f]*[=+\-@\t\r]")


@dataclass(frozen=True)
class Period:
    """Whole days of Paris, both ends included."""

    first: date
    last: date

    @property
    def start_at(self) -> datetime:
        return timezone.make_aware(datetime.combine(self.first, time.min))

    @property
    def end_at(self) -> datetime:
        return timezone.make_aware(datetime.combine(self.last + timedelta(days=1), time.min))


def parse_period(first: str | None, last: str | None) -> Period:
    """Read two ISO dates; without them the last thirty days. Raises InvalidRequest with pointers."""
    today = timezone.localdate()
    last_day = _parse_day(last, "/to") or today
    first_day = _parse_day(first, "/from") or last_day - timedelta(days=DEFAULT_DAYS - 1)
    if first_day > last_day:
        raise InvalidRequest(
            _("La date de début est après la date de fin."), pointers=[("/from", _("Trop tard."))]
        )
    return Period(first_day, last_day)


def usage_of(*, user_id: int, period: Period, group_by: str) -> list[dict[str, Any]]:
    """Return requests, characters and cost of an account per day, key or voice. Raises InvalidRequest."""
    if group_by not in GROUPS:
        raise InvalidRequest(pointers=[("/group_by", _("Choisissez day, key ou voice."))])
    delivered = _delivered(period).filter(account__user_id=user_id)
    rows = _summed(delivered, GROUPS[group_by])
    if group_by == "day":
        return list(rows.order_by("day"))
    named = _name_keys if group_by == "key" else _name_voices
    return named(list(rows.order_by("-cost_micros")), delivered)


def totals_of(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Return the sums of a usage report."""
    kept = list(rows)
    return {name: sum(row[name] for row in kept) for name in ("requests", "characters", "cost_micros")}


def margin_by_day(period: Period) -> list[dict[str, Any]]:
    """Return, per day and engine, what was earned, what the supplier bills, and the difference."""
    rows = _summed(_delivered(period), ("day", "engine")).annotate(
        upstream_bytes=Sum("upstream_bytes"), upstream_cost_micros=Sum("upstream_cost_micros")
    )
    return [
        row | {"margin_micros": row["cost_micros"] - row["upstream_cost_micros"]}
        for row in rows.order_by("-day", "engine")
    ]


def statement_rows(entries: QuerySet[Entry]) -> Iterator[list[str]]:
    """Return the lines of a statement for a French spreadsheet: amounts in euros with a comma, text made
    harmless.
    """
    yield [_("Date"), _("Nature"), _("Montant (€)"), _("Solde après (€)"), _("Référence"), _("Motif")]
    for entry in entries.iterator(chunk_size=500):
        yield [
            timezone.localtime(entry.created_at).strftime("%d/%m/%Y %H:%M:%S"),
            guarded(entry.get_kind_display()),
            _decimal(entry.amount_micros),
            _decimal(entry.balance_after_micros or 0),
            guarded(f"{entry.source_type}:{entry.source_id}"),
            guarded(entry.reason),
        ]


def write_csv(rows: Iterable[list[str]]) -> Iterator[str]:
    """Write lines as CSV with semicolons, one at a time; a byte order mark first, for spreadsheets."""
    writer = csv.writer(_Echo(), delimiter=";")
    yield "\ufeff"
    for row in rows:
        yield writer.writerow(row)


def guarded(cell: str) -> str:
    """Put an apostrophe before text that a spreadsheet would take for a formula."""
    return f"'{cell}" if FORMULA.search(cell) else cell


class _Echo:
    def write(self, value: str) -> str:
        return value


def _delivered(period: Period) -> QuerySet[Hold]:
    return Hold.objects.filter(
        state=Hold.State.CAPTURED, closed_at__gte=period.start_at, closed_at__lt=period.end_at
    )


def _summed(holds: QuerySet[Hold], by: tuple[str, ...]) -> QuerySet[Any, dict[str, Any]]:
    return (
        holds.annotate(day=TruncDate("closed_at"))
        .order_by()
        .values(*by)
        .annotate(requests=Count("pk"), characters=Sum("characters"), cost_micros=Sum("captured_micros"))
    )


def _name_keys(rows: list[dict[str, Any]], holds: QuerySet[Hold]) -> list[dict[str, Any]]:
    names = dict(ApiKey.objects.filter(pk__in=[row["api_key_id"] for row in rows]).values_list("pk", "name"))
    return [row | {"name": names.get(row["api_key_id"], _("Portail"))} for row in rows]


def _name_voices(rows: list[dict[str, Any]], holds: QuerySet[Hold]) -> list[dict[str, Any]]:
    """Give each voice the title it was last used under."""
    newest = holds.order_by("voice_id", "-closed_at").distinct("voice_id")
    titles = dict(newest.values_list("voice_id", "voice_title"))
    return [row | {"title": titles.get(row["voice_id"], "")} for row in rows]


def _decimal(micros: int) -> str:
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), 1_000_000)
    return f"{sign}{whole},{rest:06d}"


def _parse_day(text: str | None, pointer: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        if YEARS[0] <= day.year <= YEARS[1]:
            return day
        raise ValueError(text)
    except ValueError:
        raise InvalidRequest(pointers=[(pointer, _("Écrivez la date comme 2026-11-22."))]) from None
