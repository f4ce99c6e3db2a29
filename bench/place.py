"""A database of its own for a measurement, beside the one that is used."""

import os
from typing import Any

import django
import psycopg
from django.core.management import call_command
from psycopg import sql


def use_own_database(name: str) -> None:
    """Create the database `name` on the cluster of the settings when it is missing, migrate it and point Django there.

    Call it before anything of Django's is touched.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fr02.settings")
    from django.conf import settings

    database: dict[str, Any] = settings.DATABASES["default"]
    with psycopg.connect(
        host=database["HOST"],
        port=database["PORT"] or None,
        user=database["USER"],
        password=database["PASSWORD"],
        dbname="postgres",
        autocommit=True,
    ) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if not exists:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    database["NAME"] = name
    django.setup()
    call_command("migrate", verbosity=0)
