"""Put the model and its voices together, before a server starts that has no `make run` around it."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from fr02 import assets
from fr02.host import SetupError


class Command(BaseCommand):
    help = "Prépare le modèle de voix et ses voix, ou vérifie qu’ils sont là."

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the path of the model and of the folder of voices, one per line."""
        try:
            model, voices = assets.ensure_model(settings.VAR_DIR)
        except SetupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{model}\n{voices}")
