"""The mails of billing: plain text, in French, sent when the transaction that asks for them has committed."""

from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse

from billing.models import Account


def send_later(name: str, account: Account, context: dict[str, Any]) -> None:
    """Send `templates/billing/mails/<name>.txt` to the account's owner after the commit; its first line is
    the subject.
    """
    text = render_to_string(
        f"billing/mails/{name}.txt",
        context | {"account": account, "credit_url": settings.SITE_URL + reverse("billing-credit")},
    )
    subject, _newline, body = text.strip().partition("\n")
    recipient = account.user.email
    transaction.on_commit(
        lambda: send_mail(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + subject, body.strip(), None, [recipient])
    )
