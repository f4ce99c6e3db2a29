"""Small tools of the billing tests."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections, transaction
from procrastinate.contrib.django import app

from accounts.models import User
from billing import ledger
from billing.audit import check_books
from billing.models import Account, Entry, Hold, TopUp
from billing.payments import apply_payment_intent
from billing.services import Settlement, Usage, hold_credit, settle_hold
from fr02.errors import Fr02Error

CENT = 10_000
EURO = 1_000_000


def drifts() -> list[tuple[str, list[str]]]:
    """Return every rule of the books that is broken."""
    return [(finding.rule, finding.drifts) for finding in check_books() if finding.drifts]


def buy(user: User, amount_micros: int) -> TopUp:
    """Give paid credit, as if a card had been charged."""
    with transaction.atomic():
        account = ledger.lock_account(user_id=user.pk)
    top_up = TopUp.objects.create(
        account=account, kind=TopUp.Kind.CHECKOUT, amount_micros=amount_micros, is_live=False
    )
    intent = {
        "id": f"pi_{uuid.uuid4().hex}",
        "livemode": False,
        "currency": "eur",
        "amount": amount_micros // CENT,
        "status": "succeeded",
        "latest_charge": None,
    }
    return apply_payment_intent(intent, top_up_id=top_up.pk)


def speak(user: User, held_micros: int, used_micros: int | None = None) -> Settlement | None:
    """Hold and capture, as one synthesis does."""
    hold = hold_credit(user_id=user.pk, amount_micros=held_micros, life_s=60)
    return settle(hold, held_micros if used_micros is None else used_micros)


def settle(hold: Hold, amount_micros: int, *, source_id: str = "") -> Settlement | None:
    """Capture a hold for a synthesis of its own."""
    return settle_hold(
        hold_id=hold.pk,
        amount_micros=amount_micros,
        source_type="generation",
        source_id=source_id or uuid.uuid4().hex,
        usage=Usage(engine="kokoro", characters=amount_micros // 5),
    )


def account_of(user: User) -> Account:
    return Account.objects.get(user=user)


def entries_of(user: User, kind: str) -> list[int]:
    """Return the amounts of an account's entries of one kind, in order."""
    entries = Entry.objects.filter(account__user=user, kind=kind).order_by("pk")
    return list(entries.values_list("amount_micros", flat=True))


def together(number: int, work: Callable[[int], Any], *, threads: int | None = None) -> list[Any]:
    """Call `work(0)` … `work(number - 1)` at the same moment, each in a thread with a connection of its
    own.
    """
    start = threading.Barrier(threads or number)

    def run(index: int) -> Any:
        try:
            if index < start.parties:
                start.wait(30)
            return work(index)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(threads or number) as pool:
        return list(pool.map(run, range(number)))


def post_mails() -> None:
    """Send the mails that were asked for, as the worker does."""
    worker = app.with_connector(app.connector.get_worker_connector())  # type: ignore[attr-defined]
    worker.run_worker(queues=["mails"], wait=False, install_signal_handlers=False, listen_notify=False)


def outcome(work: Callable[[], Any]) -> str:
    """Return the code of the refusal that some work ends with, or `ok`."""
    try:
        work()
    except Fr02Error as refusal:
        return refusal.code
    return "ok"


def outcomes(number: int, work: Callable[[], Any], *, threads: int | None = None) -> Counter[str]:
    """Count how calls at the same moment end."""
    return Counter(together(number, lambda index: outcome(work), threads=threads))
