"""One number for the whole platform: how many requests may be in flight at Fish Audio at once.

The slots are rows in PostgreSQL, so every process of every machine counts the same ones. Nobody queues: when
there is no slot, the answer is no, at once. Fairness, for a limit L and n accounts seen in the last minute:

- an account that holds nothing takes any free slot;
- below its share (L // n) it leaves one free slot to each account that holds fewer and was refused within the
  last ten seconds;
- from its share on it leaves one to each refused account below the share, and always one to a newcomer when
  other accounts are about.

So a lone customer may use everything, and one who asks too late has the next slot that falls free.
"""

import logging
import uuid
from collections import Counter
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from voices.models import UpstreamDemand, UpstreamSlot

logger = logging.getLogger(__name__)

# Whose slots the platform's own requests hold.
PLATFORM = "fr02"
LEASE_S = 30.0
HEARTBEAT_S = 10.0
REFUSED_WITHIN_S = 10.0
ABOUT_WITHIN_S = 60.0
RETRY_AFTER_S = 1.0
_LOCK = 0x46495348  # "FISH": serialises the few milliseconds in which slots are counted and taken


def acquire(*, account: str, lease_s: float = LEASE_S) -> uuid.UUID | None:
    """Take a slot for the account and return its id, or None when there is none for it now.

    Who does not `extend` it asks for as long a lease as the work can take.
    """
    now = timezone.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        UpstreamSlot.objects.filter(expires_at__lte=now).delete()
        held = Counter(UpstreamSlot.objects.values_list("account", flat=True))
        demands = dict(
            UpstreamDemand.objects.filter(asked_at__gt=now - timedelta(seconds=ABOUT_WITHIN_S)).values_list(
                "account", "refused_at"
            )
        )
        is_granted = is_fair(
            account=account,
            held=held,
            refused=_refused_lately(demands, now),
            # No slot is kept for the platform itself: its requests are short, and it asks again.
            about=(set(demands) | set(held)) - {PLATFORM},
            limit=settings.FISH_CONCURRENCY,
        )
        _note_demand(account, now, is_granted=is_granted)
        if not is_granted:
            return None
        slot = UpstreamSlot(account=account, acquired_at=now, expires_at=now + timedelta(seconds=lease_s))
        slot.save(force_insert=True)
        return slot.pk


def is_fair(*, account: str, held: Counter[str], refused: set[str], about: set[str], limit: int) -> bool:
    """Say whether the account may take one more slot now. `held` counts slots by account."""
    free = limit - held.total()
    mine = held[account]
    if free <= 0 or mine == 0:
        return free > 0
    others = about - {account}
    share = max(1, limit // (len(others) + 1))
    if mine < share:
        kept = sum(held[other] < mine for other in refused & others)
    else:
        kept = max(sum(held[other] < share for other in refused & others), bool(others))
    return free > kept


def extend(*, slots: list[uuid.UUID]) -> int:
    """Tell that the work in these slots goes on. Returns how many of them are still held."""
    expires_at = timezone.now() + timedelta(seconds=LEASE_S)
    count = UpstreamSlot.objects.filter(pk__in=slots).update(expires_at=expires_at)
    if count < len(slots):
        # Given back in this moment; else this process slept through its leases and is over its share.
        logger.warning("%d of %d upstream slots are no longer held", len(slots) - count, len(slots))
    return count


def release(*, slot: uuid.UUID) -> None:
    """Give a slot back. Giving it back twice does nothing."""
    UpstreamSlot.objects.filter(pk=slot).delete()


def _refused_lately(demands: dict[str, datetime | None], now: datetime) -> set[str]:
    since = now - timedelta(seconds=REFUSED_WITHIN_S)
    return {account for account, refused_at in demands.items() if refused_at and refused_at > since}


def _note_demand(account: str, now: datetime, *, is_granted: bool) -> None:
    UpstreamDemand.objects.bulk_create(
        [UpstreamDemand(account=account, asked_at=now, refused_at=None if is_granted else now)],
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["asked_at", "refused_at"],
    )
