"""What every test of the books shares: people with credit, many hands at once, and the proof afterwards."""

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import User
from tests.billing import helpers


@pytest.fixture(autouse=True)
def _books_are_right(request: pytest.FixtureRequest) -> Iterator[None]:
    """L1: after every test, whatever it did, the books balance."""
    marker = request.node.get_closest_marker("django_db")
    if marker is None:
        yield
        return
    request.getfixturevalue("transactional_db" if marker.kwargs.get("transaction") else "db")
    yield
    assert helpers.drifts() == []


@pytest.fixture(autouse=True)
def _no_welcome(settings: Any) -> None:
    settings.WELCOME_CREDIT_MICROS = 0
    settings.REQUESTS_PER_MINUTE = 1_000_000


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice@example.fr", "secret-de-alice")


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("bob@example.fr", "secret-de-bob")


@pytest.fixture
def charlie() -> User:
    return User.objects.create_user("charlie@example.fr", "secret-de-charlie")
