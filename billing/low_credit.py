"""Say that credit runs low: one mail per level and crossing."""

from django.conf import settings
from django.db import transaction
from django.db.models import F

from billing import auto_topup, ledger, mails
from billing.models import Account


def watch(*, account_id: int) -> None:
    """Do what a low balance asks for: a mail when a new level is passed, an automatic top-up."""
    with transaction.atomic():
        account = ledger.lock_account(account_id=account_id)
        level = sum(account.balance_micros < line for line in settings.LOW_CREDIT_MICROS)
        if level > account.low_credit_level:
            account.low_credit_level = level
            mails.send_later("low_credit", account, {"is_empty": account.balance_micros <= 0})
        ledger.mark_watch(account)
    auto_topup.consider(account_id=account_id)


def watch_all() -> int:
    """Watch every account that needs it and was not called about: a safety net. Return how many."""
    below = Account.objects.filter(balance_micros__lt=F("watch_micros")).values_list("pk", flat=True)
    account_ids = sorted({*below, *auto_topup.accounts_in_need()})
    for account_id in account_ids:
        watch(account_id=account_id)
    return len(account_ids)
