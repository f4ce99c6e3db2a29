"""Bring the database up to date and make the demo account: what `make run` does before it serves."""

import json
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from fr02.demo import create_demo_account


class Command(BaseCommand):
    help = "Met la base à jour et crée le compte de démonstration\u202f; écrit son accès en JSON."

    def handle(self, *args: Any, **options: Any) -> None:
        """Write `{"email", "password", "key"}`; password and key are null when the account was there."""
        call_command("migrate", verbosity=0, interactive=False)
        user, password, key = create_demo_account()
        self.stdout.write(json.dumps({"email": user.email, "password": password, "key": key}))
