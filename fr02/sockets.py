"""The addresses of the sockets. What nobody knows is refused before the upgrade, without a traceback."""

from typing import Any, cast

from channels.routing import URLRouter
from django.urls import re_path

from tts.consumers import SpeechConsumer


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Refuse a socket that has no address here."""
    await send({"type": "websocket.close", "code": 4404})


socket_application = URLRouter(
    [
        re_path(r"^api/v1/tts/stream/?$", SpeechConsumer.as_asgi()),
        re_path(r"^.*$", cast(Any, refuse)),
    ]
)
