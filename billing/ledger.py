"""The only writes of the ledger beside holds: open an account, post a movement, grant, burn and expire
credit.

Whoever changes an account's sums locks its row first (`lock_account`) or in the same statement, and writes
the entry that explains the change in the same transaction.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from billing.database import fetch_one
from billing.models import Account, AutoTopUp, Entry, Grant, GrantUse, Hold
from fr02.errors import InvalidRequest, NotFound


def lock_account(*, user_id: int | None = None, account_id: int | None = None) -> Account:
    """Return the account, locked until the transaction ends, its expired grants taken off; open it when a
    user has none.
    """
    which = {"user_id": user_id} if user_id is not None else {"pk": account_id}
    account = _locked(which)
    if account is None:
        if user_id is None:
            raise NotFound()
        _open_account(user_id)
        account = Account.objects.select_for_update(no_key=True).get(user_id=user_id)
    if has_expired_grants(account):
        _expire_grants(account)
        account.refresh_from_db()
    return account


def has_expired_grants(account: Account) -> bool:
    """Tell whether a grant of the account is past its expiry with something left."""
    return account.grants_expire_at is not None and account.grants_expire_at <= timezone.now()


def post_movement(
    *,
    account: Account,
    house: str,
    kind: str,
    amount_micros: int,
    source_type: str,
    source_id: str,
    reason: str = "",
    actor_id: int | None = None,
) -> int:
    """Book a movement on a locked account and on the house account that mirrors it; return the customer's
    entry id.

    `amount_micros` is signed: positive is credit. The source is the idempotency key: the same one a second
    time raises IntegrityError and books nothing.
    """
    row = fetch_one(
        POST,
        {
            "account_id": account.pk,
            "house": house,
            "kind": kind,
            "amount": amount_micros,
            "source_type": source_type,
            "source_id": source_id,
            "reason": reason,
            "actor_id": actor_id,
            "now": timezone.now(),
        },
    )
    account.balance_micros = row.balance_after_micros
    mark_watch(account)
    return row.id


def mark_watch(account: Account) -> None:
    """Draw the line below which a settlement must call `tasks.watch_credit`; the account is locked.

    Credit that lifts the balance above a level lets that level be announced again.
    """
    balance_micros = account.balance_micros
    levels = [level for level in settings.LOW_CREDIT_MICROS if level <= balance_micros]
    account.low_credit_level = min(account.low_credit_level, len(settings.LOW_CREDIT_MICROS) - len(levels))
    automatic = AutoTopUp.objects.filter(
        account=account, is_enabled=True, stopped_because="", threshold_micros__lte=balance_micros
    ).first()
    account.watch_micros = max(levels + ([automatic.threshold_micros] if automatic else []), default=None)
    Account.objects.filter(pk=account.pk).update(
        watch_micros=account.watch_micros, low_credit_level=account.low_credit_level
    )


@transaction.atomic
def grant_credit(
    *,
    user_id: int,
    amount_micros: int,
    reason: str,
    source_type: str = "grant",
    source_id: str = "",
    priority: int = 50,
    expires_at: datetime | None = None,
    actor_id: int | None = None,
) -> Grant:
    """Give credit, to be used before bought credit, until it expires. A debt is paid from it first.

    The same source a second time raises IntegrityError; without a source each call is its own.
    """
    if amount_micros <= 0:
        raise InvalidRequest(_("Le montant doit être positif."))
    account = lock_account(user_id=user_id)
    return _grant(
        account,
        amount_micros,
        reason,
        source_type,
        source_id or uuid.uuid4().hex,
        priority,
        expires_at,
        actor_id,
    )


@transaction.atomic
def adjust_credit(
    *, user_id: int, amount_micros: int, reason: str, actor_id: int, source_id: str = ""
) -> int:
    """Correct an account by a signed amount, with the reason and the operator who did it. Return the
    entry's id.

    A correction downwards never takes what is held or what is not there. Raises InvalidRequest.
    """
    if not reason.strip():
        raise InvalidRequest(_("Donnez le motif de l’ajustement."))
    account = lock_account(user_id=user_id)
    if amount_micros == 0 or -amount_micros > max(0, account.available_micros):
        raise InvalidRequest(
            _("Le montant doit être différent de zéro et ne pas dépasser le crédit disponible.")
        )
    entry_id = post_movement(
        account=account,
        house=Entry.House.ADJUSTMENTS,
        kind=Entry.Kind.ADJUST,
        amount_micros=amount_micros,
        source_type="adjust",
        source_id=source_id or uuid.uuid4().hex,
        reason=reason.strip(),
        actor_id=actor_id,
    )
    cover_debit_with_grants(account, entry_id)
    return entry_id


def cover_debit_with_grants(account: Account, entry_id: int) -> None:
    """Burn the grants that a debit of another kind than use has eaten into: what is offered never exceeds
    the balance.
    """
    account.refresh_from_db()
    excess_micros = account.granted_micros - max(0, account.balance_micros)
    if excess_micros > 0:
        burn_grants(
            account.pk, entry_id, excess_micros, alive_at=datetime.min.replace(tzinfo=timezone.now().tzinfo)
        )
        account.refresh_from_db()


def burn_grants(account_id: int, entry_id: int, amount_micros: int, *, alive_at: datetime) -> None:
    """Take a debit from the grants that were alive when its hold was opened, in their order; the account is
    locked.
    """
    fetch_one(
        BURN, {"account_id": account_id, "entry_id": entry_id, "amount": amount_micros, "alive_at": alive_at}
    )


def unfreeze_account(*, account_id: int) -> None:
    """Let an account be used again although a dispute was not won."""
    Account.objects.filter(pk=account_id).update(is_frozen=False)


def expire_grants() -> int:
    """Take what is left of expired grants off their accounts. Return how many accounts were looked at."""
    due = Account.objects.filter(grants_expire_at__lte=timezone.now()).values_list("pk", flat=True)
    account_ids = list(due)
    for account_id in account_ids:
        with transaction.atomic():
            lock_account(account_id=account_id)
    return len(account_ids)


def _locked(which: dict[str, Any]) -> Account | None:
    return Account.objects.select_for_update(no_key=True).filter(**which).first()


def _open_account(user_id: int) -> None:
    """Make the account and give the welcome credit; of several at once, one does it and the others wait for
    it.
    """
    row = fetch_one(OPEN, {"user_id": user_id, "now": timezone.now()})
    if row is not None and settings.WELCOME_CREDIT_MICROS:
        account = Account.objects.get(pk=row.id)
        _grant(
            account,
            settings.WELCOME_CREDIT_MICROS,
            _("Crédit de bienvenue"),
            "welcome",
            str(user_id),
            50,
            None,
            None,
        )


def _grant(
    account: Account,
    amount_micros: int,
    reason: str,
    source_type: str,
    source_id: str,
    priority: int,
    expires_at: datetime | None,
    actor_id: int | None,
) -> Grant:
    debt_micros = max(0, -account.balance_micros)
    entry_id = post_movement(
        account=account,
        house=Entry.House.PROMOTION,
        kind=Entry.Kind.GRANT,
        amount_micros=amount_micros,
        source_type=source_type,
        source_id=source_id,
        reason=reason,
        actor_id=actor_id,
    )
    owed_micros = min(debt_micros, amount_micros)
    grant = Grant.objects.create(
        account=account,
        amount_micros=amount_micros,
        remaining_micros=amount_micros - owed_micros,
        priority=priority,
        expires_at=expires_at,
        reason=reason,
        created_at=timezone.now(),
    )
    if owed_micros:
        GrantUse.objects.create(entry_id=entry_id, grant=grant, amount_micros=owed_micros)
    _sum_up_grants(account)
    return grant


def _expire_grants(account: Account) -> None:
    """Book the expiry of each grant past its time, except for what open holds from before may still use."""
    now = timezone.now()
    grants = list(account.grants.filter(remaining_micros__gt=0))
    holds = account.holds.open().order_by("pk")
    for grant, reserved_micros in _reserved_by(grants, holds):
        free_micros = grant.remaining_micros - reserved_micros
        if grant.expires_at is None or grant.expires_at > now or free_micros <= 0:
            continue
        entry_id = post_movement(
            account=account,
            house=Entry.House.PROMOTION,
            kind=Entry.Kind.EXPIRY,
            amount_micros=-free_micros,
            source_type="expiry",
            source_id=f"{grant.pk}-{grant.remaining_micros}",
            reason=grant.reason,
        )
        Grant.objects.filter(pk=grant.pk).update(remaining_micros=reserved_micros)
        GrantUse.objects.create(entry_id=entry_id, grant=grant, amount_micros=free_micros)
    _sum_up_grants(account)


def _reserved_by(grants: list[Grant], holds: Iterable[Hold]) -> list[tuple[Grant, int]]:
    """Say how much of each grant the open holds would use: each in the order of use, those alive when it
    was opened.
    """
    free = {grant.pk: grant.remaining_micros for grant in grants}
    in_order = sorted(grants, key=_order_of_use)
    for hold in holds:
        wanted = hold.amount_micros
        for grant in in_order:
            if grant.expires_at is None or grant.expires_at > hold.created_at:
                taken = min(wanted, free[grant.pk])
                free[grant.pk] -= taken
                wanted -= taken
    return [(grant, grant.remaining_micros - free[grant.pk]) for grant in grants]


def _order_of_use(grant: Grant) -> tuple[int, bool, float, int]:
    expires_at = grant.expires_at.timestamp() if grant.expires_at else 0.0
    return grant.priority, grant.expires_at is None, expires_at, grant.pk


def _sum_up_grants(account: Account) -> None:
    """Write on the account what its grants still hold and when the next of them expires."""
    left = list(account.grants.filter(remaining_micros__gt=0))
    account.granted_micros = sum(grant.remaining_micros for grant in left)
    account.grants_expire_at = min((grant.expires_at for grant in left if grant.expires_at), default=None)
    Account.objects.filter(pk=account.pk).update(
        granted_micros=account.granted_micros, grants_expire_at=account.grants_expire_at
    )


OPEN = """
INSERT INTO billing_account (
    user_id, balance_micros, held_micros, granted_micros, open_holds, rate_at, low_credit_level, is_frozen,
    stripe_customer_id, created_at
)
VALUES (%(user_id)s::bigint, 0, 0, 0, 0, %(now)s::timestamptz, 0, false, '', %(now)s::timestamptz)
ON CONFLICT (user_id) DO NOTHING
RETURNING id
"""

POST = """
WITH account AS (
    UPDATE billing_account SET balance_micros = balance_micros + %(amount)s::bigint
    WHERE id = %(account_id)s::bigint RETURNING id, balance_micros
), booked AS (
    INSERT INTO billing_entry (
        account_id, house, amount_micros, kind, balance_after_micros, source_type, source_id, reason, actor_id,
        created_at
    )
    SELECT leg.account_id, leg.house, leg.amount, %(kind)s::text, leg.balance_after,
        %(source_type)s::text, %(source_id)s::text, %(reason)s::text, %(actor_id)s::bigint,
        %(now)s::timestamptz
    FROM account, LATERAL (VALUES
        (account.id, '', %(amount)s::bigint, account.balance_micros),
        (NULL, %(house)s::text, -%(amount)s::bigint, NULL)
    ) AS leg (account_id, house, amount, balance_after)
    RETURNING id, house, balance_after_micros
)
SELECT id, balance_after_micros FROM booked WHERE house = ''
"""

BURN = """
WITH alive AS (
    SELECT id, remaining_micros,
        sum(remaining_micros) OVER (ORDER BY priority, expires_at NULLS LAST, id) - remaining_micros
            AS before_micros
    FROM billing_grant
    WHERE account_id = %(account_id)s::bigint AND remaining_micros > 0
        AND (expires_at IS NULL OR expires_at > %(alive_at)s::timestamptz)
), burnt AS (
    UPDATE billing_grant SET remaining_micros = billing_grant.remaining_micros
        - least(alive.remaining_micros, %(amount)s::bigint - alive.before_micros)
    FROM alive WHERE billing_grant.id = alive.id AND alive.before_micros < %(amount)s::bigint
    RETURNING billing_grant.id,
        least(alive.remaining_micros, %(amount)s::bigint - alive.before_micros)::bigint AS used
), used AS (
    INSERT INTO billing_grantuse (entry_id, grant_id, amount_micros)
    SELECT %(entry_id)s::bigint, id, used FROM burnt RETURNING amount_micros
)
UPDATE billing_account
SET granted_micros = granted_micros - coalesce((SELECT sum(amount_micros) FROM used), 0)
WHERE id = %(account_id)s::bigint
RETURNING granted_micros
"""
