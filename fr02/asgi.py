"""The ASGI application: HTTP to Django, sockets to their consumers."""

import gc
import os
import threading
from typing import Any, cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fr02.settings")
django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402  the apps must be loaded first

from fr02.body_limit import limit_bodies  # noqa: E402
from fr02.daphne_repairs import repair_daphne  # noqa: E402
from fr02.sockets import socket_application  # noqa: E402
from fr02.still import end_still  # noqa: E402
from tts.engines.registry import prepare_engines  # noqa: E402

application = end_still(
    cast(
        Any,
        ProtocolTypeRouter(
            {"http": limit_bodies(cast(Any, django_application)), "websocket": socket_application}
        ),
    )
)
repair_daphne()


def _prepare() -> None:
    """Load what the first request would wait for, then tell the collector that all of it stays.

    A full collection looks at everything: 200 ms in which no stream moves, 30 ms without what never goes.
    """
    prepare_engines()
    gc.collect()
    gc.freeze()


# No daemon: a process that is stopped meanwhile waits for it, where C++ would abort it.
threading.Thread(target=_prepare, name="prepare").start()
