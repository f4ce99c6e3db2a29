"""Hold credit before a synthesis, capture what was delivered after it, release the rest.

Each function is one short statement or transaction and works inside the caller's own
`transaction.atomic()`; none is ever open while something is synthesised. Signatures:

    hold_credit(user_id, amount_micros, life_s) -> Hold
    grow_hold(hold_id, by_micros) -> bool
    extend_holds(hold_ids, life_s) -> int
    settle_hold(hold_id, amount_micros, source_type, source_id, usage=Usage(...)) -> Settlement | None
    void_expired_holds(grace=timedelta(0)) -> int
    credit_of(user_id) -> Credit
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from procrastinate.contrib.django import app

from billing import ledger
from billing.database import fetch_one
from billing.models import Account, Hold
from fr02.errors import Forbidden, InsufficientCredit, RateLimited, TooManyStreams
from fr02.quota import Quota

MINUTE = timedelta(minutes=1)
SWEEP_BATCH = 500
# By name: the tasks import this module.
WATCH_CREDIT = "billing.tasks.watch_credit"


@dataclass(frozen=True)
class Credit:
    """What an account has, in micro-euros. `available` is what a new synthesis may use."""

    balance_micros: int
    held_micros: int
    granted_micros: int

    @property
    def available_micros(self) -> int:
        return self.balance_micros - self.held_micros


@dataclass(frozen=True)
class Settlement:
    """What a settled hold took, and what is left."""

    balance_micros: int
    captured_micros: int
    available_micros: int


@dataclass(frozen=True)
class Usage:
    """What was delivered, for the usage and margin reports. `upstream_bytes` is what the supplier bills, in
    UTF-8 bytes.
    """

    engine: str = ""
    characters: int = 0
    upstream_bytes: int = 0
    api_key_id: uuid.UUID | None = None
    voice_id: str = ""
    voice_title: str = ""


def hold_credit(*, user_id: int, amount_micros: int, life_s: float) -> Hold:
    """Reserve credit for one synthesis; it comes back by itself after `life_s` seconds.

    Credit, concurrency and rate are checked in the one UPDATE that reserves. Raises InsufficientCredit
    (with `required_micros` and `available_micros`), TooManyStreams, RateLimited, or Forbidden while a
    dispute freezes the account. The hold's `quota` says how many more requests this minute takes.
    """
    parameters = _hold_parameters(user_id, amount_micros, life_s)
    row = fetch_one(HOLD, parameters)
    if row is None:
        row = _hold_after_a_closer_look(user_id, amount_micros, parameters)
    hold = Hold(
        id=row.id,
        account_id=row.account_id,
        amount_micros=amount_micros,
        created_at=parameters["now"],
        expires_at=parameters["expires_at"],
    )
    hold.quota = _rate_quota(row.rate_at, parameters)
    return hold


def grow_hold(*, hold_id: int, by_micros: int) -> bool:
    """Reserve more credit for a synthesis whose text is still coming. Return False when its hold is no longer open.

    Credit is checked in the UPDATE that reserves it. Raises InsufficientCredit (`required_micros` is what was
    asked for on top), or Forbidden while a dispute freezes the account; the hold then stays as it was.
    """
    with transaction.atomic():
        # The hold first, then the account: the order of a settlement. What expires meanwhile is looked at
        # before the hold grows, so that it never reserves a grant whose time was up.
        hold = Hold.objects.open().select_for_update().filter(pk=hold_id).first()
        if hold is None:
            return False
        parameters = {"hold_id": hold_id, "by": by_micros, "now": timezone.now(), "looked": False}
        if fetch_one(GROW, parameters) is None:
            account = ledger.lock_account(account_id=hold.account_id)
            if fetch_one(GROW, parameters | {"looked": True}) is None:
                _refuse_credit(account, by_micros)
    return True


def extend_holds(*, hold_ids: Sequence[int], life_s: float) -> int:
    """Give the open ones of these holds so many seconds from now. Return how many they are.

    A hold that somebody settles at this moment is passed over: waiting for many of them could meet, crosswise,
    somebody who waits for one.
    """
    expires_at = timezone.now() + timedelta(seconds=life_s)
    with transaction.atomic():
        free = Hold.objects.open().filter(pk__in=hold_ids).select_for_update(skip_locked=True)
        ids = list(free.values_list("pk", flat=True))
        return Hold.objects.filter(pk__in=ids).update(expires_at=expires_at)


def settle_hold(
    *, hold_id: int, amount_micros: int, source_type: str, source_id: str, usage: Usage | None = None
) -> Settlement | None:
    """Capture `amount_micros` of a hold, at most what it reserves, and release the rest.

    Return None when the hold is no longer open: of several settlements one wins. The source names what was
    paid for; a second capture of the same source raises IntegrityError.
    """
    usage = usage or Usage()
    with transaction.atomic():
        row = _close_hold(hold_id, max(0, amount_micros), "", source_type, source_id, usage)
        if row is None:
            return None
        balance_before = row.balance_micros + row.captured_micros
        if row.watch_micros is not None and row.balance_micros < row.watch_micros <= balance_before:
            app.configure_task(WATCH_CREDIT).defer(account_id=row.account_id)
    return Settlement(row.balance_micros, row.captured_micros, row.balance_micros - row.held_micros)


def void_expired_holds(*, limit: int = SWEEP_BATCH, grace: timedelta = timedelta(0)) -> int:
    """Release the holds whose time is up, so that a crash never keeps credit. Return how many this call released.

    Within the grace a hold is left to whoever took it, who may know what was delivered before the crash.
    """
    overdue = Hold.objects.overdue().filter(expires_at__lte=timezone.now() - grace)
    return sum(_expire_hold(hold_id) for hold_id in list(overdue.values_list("pk", flat=True)[:limit]))


def credit_of(user_id: int) -> Credit:
    """Return the credit of a user, opening the account with its welcome credit when it is the first time."""
    account = Account.objects.filter(user_id=user_id).first()
    if account is None or ledger.has_expired_grants(account):
        with transaction.atomic():
            account = ledger.lock_account(user_id=user_id)
    return Credit(account.balance_micros, account.held_micros, account.granted_micros)


def _hold_parameters(user_id: int, amount_micros: int, life_s: float) -> dict[str, Any]:
    now = timezone.now()
    interval = MINUTE / settings.REQUESTS_PER_MINUTE
    return {
        "user_id": user_id,
        "amount": amount_micros,
        "now": now,
        "expires_at": now + timedelta(seconds=life_s),
        "interval": interval,
        "rate_limit_at": now + MINUTE - interval,
        "streams": settings.STREAMS_PER_ACCOUNT,
        "looked": False,
    }


def _hold_after_a_closer_look(user_id: int, amount_micros: int, parameters: dict[str, Any]) -> Any:
    """Open the account or expire its grants, then hold again; say why when it is refused again."""
    with transaction.atomic():
        account = ledger.lock_account(user_id=user_id)
        row = fetch_one(HOLD, parameters | {"looked": True})
        if row is None:
            _refuse(account, amount_micros, parameters)
    return row


def _refuse(account: Account, amount_micros: int, parameters: dict[str, Any]) -> None:
    if account.is_frozen or account.available_micros < amount_micros:
        _refuse_credit(account, amount_micros)
    if account.open_holds >= parameters["streams"]:
        raise TooManyStreams(retry_after_s=1, quota=Quota("streams", parameters["streams"], 0, 1))
    raise RateLimited(
        retry_after_s=(account.rate_at - parameters["rate_limit_at"]).total_seconds(),
        quota=_rate_quota(account.rate_at, parameters),
    )


def _rate_quota(rate_at: datetime, parameters: dict[str, Any]) -> Quota:
    """Return what the requests made so far leave of the minute."""
    used = rate_at - parameters["now"]
    return Quota(
        name="requests",
        limit=settings.REQUESTS_PER_MINUTE,
        remaining=(MINUTE - used) // parameters["interval"],
        reset_s=used.total_seconds(),
        window_s=round(MINUTE.total_seconds()),
    )


def _refuse_credit(account: Account, amount_micros: int) -> NoReturn:
    if account.is_frozen:
        raise Forbidden(_("Votre crédit est gelé le temps d’un litige bancaire. Écrivez-nous."))
    raise InsufficientCredit(required_micros=amount_micros, available_micros=max(0, account.available_micros))


def _expire_hold(hold_id: int) -> bool:
    with transaction.atomic():
        return _close_hold(hold_id, 0, Hold.State.EXPIRED, "", "", Usage()) is not None


def _close_hold(
    hold_id: int, amount_micros: int, state: str, source_type: str, source_id: str, usage: Usage
) -> Any:
    """Take a hold out of OPEN and book what it captured; the caller has a transaction open."""
    now = timezone.now()
    fetch_one(LOCK, {"hold_id": hold_id})
    row = fetch_one(
        SETTLE,
        {
            "hold_id": hold_id,
            "amount": amount_micros,
            "state": state,
            "now": now,
            "source_type": source_type,
            "source_id": source_id,
            "engine": usage.engine,
            "characters": usage.characters,
            "upstream_bytes": usage.upstream_bytes,
            "api_key_id": usage.api_key_id,
            "voice_id": usage.voice_id,
            "voice_title": usage.voice_title,
        },
    )
    if row is None:
        return None
    if row.granted_micros and row.captured_micros:
        ledger.burn_grants(row.account_id, row.entry_id, row.captured_micros, alive_at=row.created_at)
    if _is_past(row.grants_expire_at, now):
        # What an open hold kept alive past its expiry may be over now.
        account = ledger.lock_account(account_id=row.account_id)
        return row._replace(balance_micros=account.balance_micros, held_micros=account.held_micros)
    return row


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and moment <= now


# The guard and the reservation are one UPDATE: PostgreSQL checks the conditions again on the newest version
# of the row after waiting for whoever had it, so no interleaving can pass both.
HOLD = """
WITH reserved AS (
    UPDATE billing_account SET
        held_micros = held_micros + %(amount)s::bigint,
        open_holds = open_holds + 1,
        rate_at = greatest(rate_at, %(now)s::timestamptz) + %(interval)s::interval
    WHERE user_id = %(user_id)s::bigint
        AND NOT is_frozen
        AND balance_micros - held_micros >= %(amount)s::bigint
        AND open_holds < %(streams)s::int
        AND rate_at <= %(rate_limit_at)s::timestamptz
        AND (grants_expire_at IS NULL OR grants_expire_at > %(now)s::timestamptz OR %(looked)s::boolean)
    RETURNING id, rate_at
)
INSERT INTO billing_hold (
    account_id, amount_micros, captured_micros, state, expires_at, created_at,
    engine, characters, upstream_bytes, upstream_cost_micros, voice_id, voice_title
)
SELECT id, %(amount)s::bigint, 0, 'open', %(expires_at)s::timestamptz, %(now)s::timestamptz,
    '', 0, 0, 0, '', ''
FROM reserved
RETURNING id, account_id, (SELECT rate_at FROM reserved) AS rate_at
"""

# Whoever waited for a growing hold must see what it grew on the account too: PostgreSQL checks the constraints
# of a row before it notices that the row it read is old, and would find more given back than is held.
LOCK = "SELECT id FROM billing_hold WHERE id = %(hold_id)s::bigint FOR NO KEY UPDATE"

GROW = """
WITH reserved AS (
    UPDATE billing_account SET held_micros = held_micros + %(by)s::bigint
    FROM billing_hold
    WHERE billing_hold.id = %(hold_id)s::bigint AND billing_account.id = billing_hold.account_id
        AND NOT is_frozen
        AND balance_micros - held_micros >= %(by)s::bigint
        AND (grants_expire_at IS NULL OR grants_expire_at > %(now)s::timestamptz OR %(looked)s::boolean)
    RETURNING billing_account.id
)
UPDATE billing_hold SET amount_micros = amount_micros + %(by)s::bigint
FROM reserved WHERE billing_hold.id = %(hold_id)s::bigint
RETURNING billing_hold.id
"""

# At most one settlement finds the hold open. An amount of zero without usage is a release and leaves no
# entry.
SETTLE = """
WITH closed AS (
    UPDATE billing_hold SET
        state = CASE
            WHEN %(state)s::text <> '' THEN %(state)s::text
            WHEN %(amount)s::bigint > 0 OR %(characters)s::int > 0 THEN 'captured'
            ELSE 'voided' END,
        captured_micros = least(amount_micros, %(amount)s::bigint),
        closed_at = %(now)s::timestamptz,
        engine = %(engine)s::text,
        characters = %(characters)s::int,
        upstream_bytes = %(upstream_bytes)s::int,
        upstream_cost_micros = CASE WHEN %(upstream_bytes)s::int = 0 THEN 0 ELSE coalesce((
            SELECT round(%(upstream_bytes)s::int * upstream_micros_per_million_bytes / 1e6)::bigint
            FROM billing_price
            WHERE engine = %(engine)s::text AND starts_at <= billing_hold.created_at
            ORDER BY starts_at DESC LIMIT 1), 0) END,
        api_key_id = %(api_key_id)s::uuid,
        voice_id = %(voice_id)s::text,
        voice_title = %(voice_title)s::text
    WHERE id = %(hold_id)s::bigint AND state = 'open'
    RETURNING account_id, amount_micros, captured_micros, created_at
), paid AS (
    UPDATE billing_account SET
        balance_micros = balance_micros - closed.captured_micros,
        held_micros = held_micros - closed.amount_micros,
        open_holds = open_holds - 1
    FROM closed WHERE billing_account.id = closed.account_id
    RETURNING account_id, balance_micros, held_micros, granted_micros, grants_expire_at, watch_micros,
        closed.captured_micros, closed.created_at
), booked AS (
    INSERT INTO billing_entry (
        account_id, house, amount_micros, kind, balance_after_micros, source_type, source_id, reason,
        created_at
    )
    SELECT leg.account_id, leg.house, leg.amount, 'capture', leg.balance_after,
        %(source_type)s::text, %(source_id)s::text, '', %(now)s::timestamptz
    FROM paid, LATERAL (VALUES
        (paid.account_id, '', -paid.captured_micros, paid.balance_micros),
        (NULL, 'revenue', paid.captured_micros, NULL)
    ) AS leg (account_id, house, amount, balance_after)
    WHERE paid.captured_micros > 0
    RETURNING id, house
)
SELECT paid.*, (SELECT id FROM booked WHERE house = '') AS entry_id FROM paid
"""
