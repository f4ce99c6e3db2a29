"""Background work of billing."""

from datetime import timedelta

from procrastinate.contrib.django import app

from billing import auto_topup, gateway, inbox, ledger, low_credit, services
from fr02.locks import only_one

# The sweeper of `tts` settles first, at the price of the last checkpoint.
HOLD_GRACE = timedelta(minutes=10)


@app.task(queue="billing")
def watch_credit(account_id: int) -> None:
    """Do what a low balance asks for: a mail, an automatic top-up."""
    low_credit.watch(account_id=account_id)


@app.periodic(cron="* * * * *")
@app.task(queue="billing", queueing_lock="billing-sweep", pass_context=False)
def sweep(timestamp: int) -> None:
    """Release overdue holds, expire grants, and take up what a crash or a lost message left behind."""
    # Beside one that Stripe keeps waiting, the next would count the same refusal of a card twice.
    with only_one("billing.sweep") as is_mine:
        if is_mine:
            _sweep()


def _sweep() -> None:
    services.void_expired_holds(grace=HOLD_GRACE)
    ledger.expire_grants()
    if gateway.is_configured():
        inbox.process_waiting()
        auto_topup.take_up_unfinished()
    low_credit.watch_all()


@app.periodic(cron="17 3 * * *")
@app.task(queue="billing", queueing_lock="billing-reconcile")
def reconcile(timestamp: int) -> None:
    """Compare with Stripe what its webhooks brought."""
    if gateway.is_configured():
        inbox.reconcile()
        auto_topup.give_up_lost()
