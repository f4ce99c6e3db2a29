"""What can be spoken with: built-in, private and community voices."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class VoicesConfig(AppConfig):
    name = "voices"
    verbose_name = _("Voix")

    def ready(self) -> None:
        post_migrate.connect(_bring_builtin_voices, sender=self)


def _bring_builtin_voices(**kwargs: Any) -> None:
    """Bring the built-in voices after each `migrate`, and after a test emptied the tables.

    A data migration would run once only.
    """
    from voices.builtin import sync_builtin_voices  # models cannot be imported before the apps are ready

    sync_builtin_voices()
