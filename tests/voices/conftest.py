"""What the tests of private voices share: Fish Audio's stand-in."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache

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
