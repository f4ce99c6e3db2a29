"""What it costs: ledger, pricing, Stripe, receipts."""

from django.apps import AppConfig
from django.db import connection
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Crédit")

    def ready(self) -> None:
        # With the migrations, and again when a test has emptied the database: without a price nothing is
        # spoken.
        post_migrate.connect(_set_first_prices, sender=self)


def _set_first_prices(**options: object) -> None:
    # The models are not loaded yet when this module is.
    from billing.models import Price
    from billing.pricing import set_first_prices

    if Price._meta.db_table in connection.introspection.table_names():
        set_first_prices()
