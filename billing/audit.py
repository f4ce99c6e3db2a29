"""Prove the books: every sum that is kept somewhere is computed again from the rows that explain it."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection, transaction

SHOWN_DRIFTS = 20


@dataclass(frozen=True)
class Finding:
    """One rule, how many rows it was checked on, and the rows that break it (the first twenty, as text)."""

    rule: str
    checked: int
    drifts: list[str]


def check_books() -> list[Finding]:
    """Check every rule on one snapshot of the database, while the site runs on."""
    if connection.in_atomic_block:
        return list(_findings())
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return list(_findings())


def _findings() -> Iterator[Finding]:
    for rule, table, query in RULES:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 the names stand below
            checked = cursor.fetchone()[0]
            cursor.execute(query)
            rows = cursor.fetchmany(SHOWN_DRIFTS)
            columns = [column.name for column in cursor.description]
        yield Finding(
            rule, checked, [", ".join(f"{k}={v}" for k, v in zip(columns, row, strict=True)) for row in rows]
        )


# (the rule, the table whose rows it speaks of, the query that returns what breaks it)
RULES = (
    (
        "balance = sum of the account's entries",
        "billing_account",
        """SELECT a.id AS account, a.balance_micros, coalesce(e.total, 0) AS entries FROM billing_account a
        LEFT JOIN (SELECT account_id, sum(amount_micros) AS total FROM billing_entry GROUP BY 1) e
            ON e.account_id = a.id
        WHERE a.balance_micros <> coalesce(e.total, 0)""",
    ),
    (
        "held = sum of the open holds, and their number",
        "billing_account",
        """SELECT a.id AS account, a.held_micros, a.open_holds, coalesce(h.total, 0) AS holds,
            coalesce(h.number, 0) AS number
        FROM billing_account a LEFT JOIN (
            SELECT account_id, sum(amount_micros) AS total, count(*) AS number
            FROM billing_hold WHERE state = 'open' GROUP BY 1
        ) h ON h.account_id = a.id
        WHERE a.held_micros <> coalesce(h.total, 0) OR a.open_holds <> coalesce(h.number, 0)""",
    ),
    (
        "granted = what is left of the grants",
        "billing_account",
        """SELECT a.id AS account, a.granted_micros, coalesce(g.total, 0) AS grants FROM billing_account a
        LEFT JOIN (SELECT account_id, sum(remaining_micros) AS total FROM billing_grant GROUP BY 1) g
            ON g.account_id = a.id
        WHERE a.granted_micros <> coalesce(g.total, 0)""",
    ),
    (
        "what is left of a grant = its amount - its uses",
        "billing_grant",
        """SELECT g.id AS grant, g.amount_micros, g.remaining_micros, coalesce(u.total, 0) AS used
        FROM billing_grant g
        LEFT JOIN (SELECT grant_id, sum(amount_micros) AS total FROM billing_grantuse GROUP BY 1) u
            ON u.grant_id = g.id
        WHERE g.remaining_micros <> g.amount_micros - coalesce(u.total, 0)""",
    ),
    (
        "the legs of every movement sum to zero",
        "billing_entry",
        """SELECT source_type, source_id, sum(amount_micros) AS rest FROM billing_entry
        GROUP BY 1, 2 HAVING sum(amount_micros) <> 0""",
    ),
    (
        "the balance written on each entry = the sum of the entries up to it",
        "billing_entry",
        """SELECT id AS entry, balance_after_micros, running FROM (
            SELECT id, balance_after_micros,
                sum(amount_micros) OVER (PARTITION BY account_id ORDER BY id) AS running
            FROM billing_entry WHERE account_id IS NOT NULL
        ) steps WHERE balance_after_micros <> running""",
    ),
    (
        "captured by holds = captured in the entries",
        "billing_hold",
        """SELECT account_id AS account, h.total AS holds, e.total AS entries
        FROM (SELECT account_id, sum(captured_micros) AS total FROM billing_hold GROUP BY 1) h
        FULL JOIN (
            SELECT account_id, -sum(amount_micros) AS total FROM billing_entry
            WHERE kind = 'capture' AND account_id IS NOT NULL GROUP BY 1
        ) e USING (account_id)
        WHERE coalesce(h.total, 0) <> coalesce(e.total, 0)""",
    ),
    (
        "a top-up is credited exactly when it is paid, with its own amount",
        "billing_topup",
        """SELECT t.id AS top_up, t.state, t.amount_micros, e.amount_micros AS entry FROM billing_topup t
        LEFT JOIN billing_entry e
            ON e.source_type = 'topup' AND e.source_id = t.id::text AND e.account_id = t.account_id
        WHERE (t.credited_at IS NULL) <> (e.id IS NULL) OR t.amount_micros <> e.amount_micros
            OR (t.state = 'paid') <> (t.credited_at IS NOT NULL)""",
    ),
    (
        "taken back from a top-up = its refunds and disputes",
        "billing_topup",
        """SELECT t.id AS top_up, t.clawed_back_micros, coalesce(r.total, 0) AS refunds,
            coalesce(d.total, 0) AS disputes
        FROM billing_topup t
        LEFT JOIN (SELECT top_up_id, sum(debited_micros) AS total FROM billing_refund GROUP BY 1) r
            ON r.top_up_id = t.id
        LEFT JOIN (SELECT top_up_id, sum(debited_micros) AS total FROM billing_dispute GROUP BY 1) d
            ON d.top_up_id = t.id
        WHERE t.clawed_back_micros <> coalesce(r.total, 0) + coalesce(d.total, 0)""",
    ),
    (
        "refunds and disputes of an account = their entries",
        "billing_account",
        """SELECT account_id AS account, c.total AS taken, e.total AS entries
        FROM (SELECT account_id, sum(clawed_back_micros) AS total FROM billing_topup GROUP BY 1) c
        FULL JOIN (
            SELECT account_id, -sum(amount_micros) AS total FROM billing_entry
            WHERE kind IN ('refund', 'refund_reversal', 'dispute', 'dispute_reversal')
                AND account_id IS NOT NULL GROUP BY 1
        ) e USING (account_id)
        WHERE coalesce(c.total, 0) <> coalesce(e.total, 0)""",
    ),
)
