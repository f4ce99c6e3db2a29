"""Prove that the books are right, or say where they are not."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from billing.audit import check_books


class Command(BaseCommand):
    help = "Recalcule tous les soldes à partir des écritures\u202f; échoue au moindre écart."

    def handle(self, *args: Any, **options: Any) -> None:
        findings = check_books()
        for finding in findings:
            verdict = _("écart") if finding.drifts else _("juste")
            self.stdout.write(f"{verdict:>6}  {finding.checked:>9}  {finding.rule}")
            for drift in finding.drifts:
                self.stdout.write(f"                   {drift}")
        wrong = sum(bool(finding.drifts) for finding in findings)
        if wrong:
            raise CommandError(_("{count} règle(s) du grand livre ne sont pas tenues.").format(count=wrong))
        self.stdout.write(_("Le grand livre est juste."))
