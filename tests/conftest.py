"""The cast and the stage of the tests. Alice owns, Bob is another customer, Charlie has nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as project_settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connections
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from psycopg import sql

from accounts.models import User
from accounts.services import create_api_key, create_verified_user
from billing.ledger import grant_credit
from fr02 import assets
from tests.servers import Server, start_server
from voices.services import ensure_starter_voice

EURO = 1_000_000

# A slow hash protects customers, not the cast. The servers of the tests read it all the same: it says its iterations.
PBKDF2PasswordHasher.iterations = 1


@dataclass
class Person:
    """A customer with a key. `headers` are what their program sends."""

    user: User
    key: str
    password: str = "un mot de passe solide"

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key}

    @property
    def starter_id(self) -> str:
        ensure_starter_voice(user_id=self.user.pk)
        return self.user.voices.get(kind="starter").public_id


def make_person(name: str, credit_micros: int = 10 * EURO) -> Person:
    """Create a customer with a key and credit."""
    user = create_verified_user(email=f"{name}@exemple.fr", password=Person.password)
    _key, raw = create_api_key(user=user, name="Essai")
    if credit_micros:
        grant_credit(user_id=user.pk, amount_micros=credit_micros, reason="Essai")
    return Person(user, raw)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, request: pytest.FixtureRequest) -> None:
    """Drop the test database of a run that was killed, whatever still holds it."""
    if request.config.getoption("reuse_db"):
        return
    database: Any = project_settings.DATABASES["default"]
    name = database["TEST"]["NAME"] or f"test_{database['NAME']}"
    with psycopg.connect(project_settings.DATABASE_URL, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session", autouse=True)
def _model() -> None:
    """The model and the voices, made when this machine has none yet."""
    assets.ensure_model(project_settings.VAR_DIR)


@pytest.fixture(scope="session")
def media_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every process of this run keeps its audio."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(autouse=True)
def _own_media(settings, media_dir: Path) -> None:
    storages = {name: dict(value) for name, value in settings.STORAGES.items()}
    storages["default"]["OPTIONS"] = {"location": media_dir}
    settings.STORAGES = storages


@pytest.fixture
def stage(transactional_db) -> None:
    """A database that other threads and processes see."""


@pytest.fixture
def work(stage):
    """Do the background work that is due, as the worker does."""

    def run() -> None:
        connector: Any = app.connector
        with app.replace_connector(connector.get_worker_connector()) as worker:
            worker.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)

    yield run
    # The table of jobs is not emptied between tests: what is left must not keep the next one from planning the same.
    ProcrastinateJob.objects.filter(status="todo").update(status="failed")
    connections.close_all()


@pytest.fixture
def alice(db) -> Person:
    return make_person("alice")


@pytest.fixture
def bob(db) -> Person:
    return make_person("bob")


@pytest.fixture
def charlie(db) -> Person:
    return make_person("charlie", credit_micros=0)


@pytest.fixture(scope="session")
def _servers() -> Iterator[list[Server]]:
    running: list[Server] = []
    yield running
    for server in running:
        server.stop()


@pytest.fixture
def server(
    stage, _servers: list[Server], media_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Server:
    """FR02 on a real daphne, started once for the whole run."""
    if not _servers or _servers[0].process.poll() is not None:
        _servers[:0] = [start_server(tmp_path_factory.mktemp("server"), media_dir)]
    return _servers[0]
