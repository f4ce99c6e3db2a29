"""Background work of billing."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from billing import auto_topup, gateway, inbox, ledger, low_credit, mails, services
from fr02.locks import only_one

# The sweeper of `tts` settles first, at the price of the last checkpoint.
HOLD_GRACE = timedelta(minutes=10)


@app.task(queue="billing")
def watch_credit(account_id: int) -> None:
    """Do what a low balance asks for: a mail, an automatic top-up."""
    low_credit.watch(account_id=account_id)


# 4 s, 16 s, 64 s … 18 h: an outage of a day is outlived.
@app.task(queue="mails", retry=RetryStrategy(max_attempts=9, exponential_wait=4, retry_exceptions={OSError}))
def send_mail(name: str, account_id: int, context: dict[str, Any]) -> None:
    """Send one of the mails of billing."""
    mails.send(name=name, account_id=account_id, context=context)


@app.periodic(cron="* * * * *")
@app.task(queue="billing", queueing_lock="billing-sweep", pass_context=False)
def sweep(timestamp: int) -> None:
    """Release overdue holds, expire grants, and take up what a crash or a lost message left behind."""
    # Beside one that Stripe keeps waiting, the next would count the same refusal of a card twice.
    with only_one("billing.sweep") as is_mine:
        if is_mine:
            _sweep()


def _sweep() -> None:
    """Do all of it, whatever one part fails with, and fail with that in the end."""
    steps: list[Callable[[], object]] = [
        lambda: services.void_expired_holds(grace=HOLD_GRACE),
        ledger.expire_grants,
    ]
    if gateway.is_configured():
        steps += [inbox.process_waiting, auto_topup.take_up_unfinished]
    with contextlib.ExitStack() as stack:
        # The callbacks run last first, each one even when another has failed.
        for step in reversed([*steps, low_credit.watch_all]):
            stack.callback(step)


@app.periodic(cron="17 3 * * *")
@app.task(queue="billing", queueing_lock="billing-reconcile")
def reconcile(timestamp: int) -> None:
    """Compare with Stripe what its webhooks brought."""
    if gateway.is_configured():
        inbox.reconcile()
        auto_topup.give_up_lost()
