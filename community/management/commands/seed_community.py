"""Fill the community with generated, playable voices."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from community.progress import Progress
from community.seed import seed_voices

MOST = 5_000_000


class Command(BaseCommand):
    help = "Remplit la communauté de voix générées (mélanges de styles intégrés), étiquetées comme telles."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--count", type=int, required=True, help="nombre de voix générées voulu en tout")

    def handle(self, *args: Any, **options: Any) -> None:
        count = options["count"]
        if not 0 <= count <= MOST:
            raise CommandError(_("--count va de 0 à %(most)s.") % {"most": MOST})
        progress = Progress(_("Voix générées"), count)
        written = seed_voices(count=count, report=lambda done, total: progress.show(done))
        progress.finish(count, _("%(written)s écrites") % {"written": written})
