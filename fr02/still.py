"""End what a client that stands still keeps open, on every server.

A server lets `send` wait while its client does not read. Whoever waits so long for them holds a stream, a hold and a
share of the engine that others could use.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

Message = MutableMapping[str, Any]
Application = Callable[[Any, Any, Callable[[Message], Awaitable[None]]], Awaitable[None]]

# Daphne drops such a client by itself (fr02.daphne_flow), without an error in the log: it goes first.
LATER = 1.1


def end_still(application: Application) -> Application:
    """Return the application; a `send` of its that takes CLIENT_STILL_SECONDS raises TimeoutError, all later ones too."""

    async def ended(scope: Any, receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
        is_still = False

        async def timed(message: Message) -> None:
            nonlocal is_still
            if is_still:
                raise TimeoutError("the client stands still")
            try:
                async with asyncio.timeout(settings.CLIENT_STILL_SECONDS * LATER):
                    await send(message)
            except TimeoutError:
                is_still = True
                raise

        await application(scope, receive, timed)

    return ended
