"""What every test of the books shares: people, a till, and the proof afterwards that the books are right."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import User
from tests.billing import helpers
from tests.billing.shop import KEY, SECRET, Shop
from tests.stripe_stand_in import StandIn

# What the tests of billing write; emptying these alone is ten times as fast as emptying every table.
TABLES = "billing_account, billing_entry, billing_stripeevent, procrastinate_jobs"
DOMAIN = "caisse.example"


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let every test of billing commit, as `transaction=True` does, and empty afterwards only what billing wrote."""
    with django_db_blocker.unblock():
        yield
        assert helpers.drifts() == [], "L1: after every test, whatever it did, the books balance"
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {TABLES} CASCADE")
        User.objects.filter(email__endswith=DOMAIN).delete()
        connections.close_all()


@pytest.fixture(autouse=True)
def _no_welcome(settings: Any) -> None:
    settings.WELCOME_CREDIT_MICROS = 0
    settings.REQUESTS_PER_MINUTE = 1_000_000


@pytest.fixture
def alice() -> User:
    return new_user("alice")


@pytest.fixture
def bob() -> User:
    return new_user("bob")


@pytest.fixture
def charlie() -> User:
    return new_user("charlie")


@pytest.fixture
def operator() -> User:
    return User.objects.create_superuser(f"operateur-{uuid.uuid4().hex}@{DOMAIN}", "secret")


@pytest.fixture
def shop(live_server: Any, settings: Any) -> Iterator[Shop]:
    """FR02 on a port of its own, with a stand-in for Stripe that knows where its webhooks go."""
    stand_in = StandIn(webhook_url=f"{live_server.url}/stripe/webhook", secrets=[SECRET])
    settings.SITE_URL = live_server.url
    settings.STRIPE_SECRET_KEY = KEY
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    settings.STRIPE_API_BASE = stand_in.url
    stand_in.start()
    yield Shop(stand_in, live_server.url)
    stand_in.stop()


def new_user(name: str) -> User:
    """Create a customer with an address that no other test uses."""
    return User.objects.create_user(f"{name}-{uuid.uuid4().hex}@{DOMAIN}")
