"""Load FR02's system checks with Django."""

from django.apps import AppConfig


class Fr02Config(AppConfig):
    name = "fr02"
    verbose_name = "FR02"

    def ready(self) -> None:
        from fr02 import checks  # noqa: F401  registration needs the settings to be loaded
