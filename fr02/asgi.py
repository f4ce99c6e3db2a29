"""The ASGI application: HTTP to Django, sockets to their consumers."""

import os
import threading

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fr02.settings")
django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402  the apps must be loaded first

from fr02.body_limit import limit_bodies  # noqa: E402
from fr02.daphne_repairs import repair_daphne  # noqa: E402
from fr02.sockets import socket_application  # noqa: E402
from tts.engines.registry import prepare_engines  # noqa: E402

application = ProtocolTypeRouter({"http": limit_bodies(django_application), "websocket": socket_application})
repair_daphne()
threading.Thread(target=prepare_engines, name="prepare-engines", daemon=True).start()
