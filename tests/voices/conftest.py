"""What the tests of private voices share: Fish Audio's stand-in, and the background work done at once."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from procrastinate.contrib.django import app

from tests.fish_stand_in.running import StandIn, running_stand_in


@pytest.fixture(autouse=True)
def _forget() -> None:
    """Forget how often an account sent recordings."""
    cache.clear()


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[StandIn]:
    with running_stand_in(catalogue_size=20) as stand_in:
        yield stand_in


@pytest.fixture
def fish(settings, _stand_in: StandIn) -> StandIn:
    """Fish Audio, with a key, as it is when nobody has used it yet."""
    _stand_in.state.reset()
    _stand_in.app.models.clones.clear()
    _stand_in.state.switches.training_s = 0.0
    settings.FISH_API_KEY = "cle-de-la-plateforme"
    settings.FISH_BASE_URL = _stand_in.base_url
    settings.CLONE_POLL_SECONDS = 0
    return _stand_in


@pytest.fixture
def work(stage):
    """Do the background work that is due, as the worker does."""

    def run() -> None:
        connector: Any = app.connector
        with app.replace_connector(connector.get_worker_connector()) as worker:
            worker.run_worker(wait=False, install_signal_handlers=False, listen_notify=False)

    yield run
    connections.close_all()
