"""The mails of billing: plain text, in French, sent in the background once what asks for them has committed."""

from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from procrastinate.contrib.django import app

from billing.models import Account

# By name: the tasks import this module.
SEND_MAIL = "billing.tasks.send_mail"


def send_later(name: str, account: Account, context: dict[str, Any]) -> None:
    """Have `templates/billing/mails/<name>.txt` sent to the account's owner. A mail server that fails is the mail's
    trouble, never the money's: the job belongs to the transaction, and is tried again by itself.
    """
    app.configure_task(SEND_MAIL).defer(name=name, account_id=account.pk, context=context)


def send(*, name: str, account_id: int, context: dict[str, Any]) -> None:
    """Send a mail now; its template's first line is the subject. Raises OSError (smtplib's errors are some)."""
    account = Account.objects.select_related("user").get(pk=account_id)
    text = render_to_string(
        f"billing/mails/{name}.txt",
        context | {"account": account, "credit_url": settings.SITE_URL + reverse("billing-credit")},
    )
    subject, _newline, body = text.strip().partition("\n")
    send_mail(settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + subject, body.strip(), None, [account.user.email])
