"""Tell the operator what only the operator can put right: the platform's key, credit and limit at Fish Audio, and work
in the background that does not get done.

A customer never sees these: for them the engine is unavailable. The operator finds a line in the log, a row
in the admin, and a banner on the admin's first page until it works again.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from voices.fish import FishConcurrency, FishError, FishOutOfCredit, FishUnauthorized
from voices.models import UpstreamAlarm

logger = logging.getLogger(__name__)

QUIET_S = 60.0  # an alarm that did not ring for so long is over once something works

_KINDS: dict[type[FishError], UpstreamAlarm.Kind] = {
    FishUnauthorized: UpstreamAlarm.Kind.UNAUTHORIZED,
    FishOutOfCredit: UpstreamAlarm.Kind.OUT_OF_CREDIT,
    FishConcurrency: UpstreamAlarm.Kind.CONCURRENCY,
}


def alarm_kind(error: FishError) -> UpstreamAlarm.Kind | None:
    """Return the kind of alarm that an upstream refusal is, or None when it is nobody's duty."""
    return _KINDS.get(type(error)) if error.status else None


def raise_alarm(*, error: FishError) -> None:
    """Open the alarm of this refusal, or count it once more."""
    kind = alarm_kind(error)
    if kind is None:
        return
    ring(kind=kind, detail=error.message)
    logger.error(
        "Fish Audio refuses the platform (%s, status %s): %s", kind.value, error.status, error.message
    )


def ring(*, kind: UpstreamAlarm.Kind, detail: str) -> None:
    """Open the alarm of a kind, or count it once more."""
    now = timezone.now()
    with transaction.atomic():
        alarm, is_new = UpstreamAlarm.objects.get_or_create(
            kind=kind,
            resolved_at=None,
            defaults={"detail": detail[:500], "first_at": now, "last_at": now},
        )
        if not is_new:
            UpstreamAlarm.objects.filter(pk=alarm.pk).update(
                detail=detail[:500], count=F("count") + 1, last_at=now
            )


def resolve(*, kind: UpstreamAlarm.Kind) -> None:
    """Close the alarm of a kind, when what it is about works again."""
    UpstreamAlarm.objects.filter(kind=kind, resolved_at=None).update(resolved_at=timezone.now())


def resolve_alarms() -> int:
    """Close the refusals that stopped ringing, when Fish Audio has served. Returns how many were closed."""
    now = timezone.now()
    quiet = UpstreamAlarm.objects.filter(
        kind__in=_KINDS.values(), resolved_at=None, last_at__lt=now - timedelta(seconds=QUIET_S)
    )
    return quiet.update(resolved_at=now)
