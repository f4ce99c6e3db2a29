"""Mirror Fish Audio's catalogue now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from community.models import SyncRun
from community.progress import Progress
from community.sync import SyncIsRunning, mirror_client, sync_catalogue
from voices import fish


class Command(BaseCommand):
    help = "Recopie le catalogue de voix de Fish Audio\u202f; interrompue, elle reprend où elle en était."

    def handle(self, *args: Any, **options: Any) -> None:
        if not fish.is_configured():
            raise CommandError(_("Fish Audio n’est pas configuré\u00a0: donnez FISH_API_KEY."))
        progress = Progress(_("Requêtes"))

        def report(run: SyncRun) -> None:
            if progress.is_due:
                progress.total = run.request_count + run.queries.filter(is_done=False).count()
                progress.show(run.request_count, _counts(run))

        try:
            with mirror_client() as client:
                run = sync_catalogue(client=client, report=report)
        except SyncIsRunning:
            raise CommandError(_("Une autre synchronisation est en cours.")) from None
        except fish.FishError as error:
            raise CommandError(
                _(
                    "Fish Audio ne répond pas comme prévu (%(error)s)."
                    " Relancez la commande\u00a0: elle reprendra ici."
                )
                % {"error": error.message}
            ) from error
        progress.finish(run.request_count, _counts(run))
        if run.finished_at is None:
            self.stdout.write(_("La limite de requêtes est atteinte\u00a0: la prochaine exécution continue."))


def _counts(run: SyncRun) -> str:
    return _("%(created)s nouvelles, %(changed)s modifiées, %(retired)s retirées") % {
        "created": run.created_count,
        "changed": run.changed_count,
        "retired": run.retired_count,
    }
