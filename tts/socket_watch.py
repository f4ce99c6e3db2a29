"""Close the sockets of a key soon after it was revoked.

One question every two seconds for all the sockets of the process, and none while no socket is open.
"""

import asyncio
import logging
import uuid
import weakref
from typing import Protocol

from django.conf import settings
from django.db import DatabaseError
from django.utils.translation import gettext as _

from accounts.services import Caller, usable_key_ids
from fr02.bridge import in_database
from fr02.errors import TooManyStreams

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0


class Socket(Protocol):
    caller: Caller

    async def revoke(self) -> None: ...


class OpenSockets:
    """The sockets of this process."""

    def __init__(self) -> None:
        # A socket that its server forgets without a word must not count for ever.
        self.sockets: weakref.WeakSet[Socket] = weakref.WeakSet()
        self.watch: asyncio.Task[None] | None = None

    def add(self, socket: Socket) -> None:
        """Count a socket in. Raises TooManyStreams beyond SOCKETS_PER_ACCOUNT of one account."""
        user_id = socket.caller.user_id
        if (
            sum(1 for other in self.sockets if other.caller.user_id == user_id)
            >= settings.SOCKETS_PER_ACCOUNT
        ):
            raise TooManyStreams(_("Trop de WebSockets ouvertes pour ce compte."))
        self.sockets.add(socket)
        if self.watch is None or self.watch.done():
            self.watch = asyncio.get_running_loop().create_task(self._watch())

    def discard(self, socket: Socket) -> None:
        """Count a socket out."""
        self.sockets.discard(socket)

    async def _watch(self) -> None:
        while self.sockets:
            await asyncio.sleep(INTERVAL_SECONDS)
            watched: dict[uuid.UUID, list[Socket]] = {}
            for socket in list(self.sockets):
                if socket.caller.key_id:
                    watched.setdefault(socket.caller.key_id, []).append(socket)
            try:
                usable = await in_database(usable_key_ids, list(watched))
            except DatabaseError:
                logger.exception("keys of open sockets not checked")
                continue
            revoked = [socket for key_id in watched.keys() - usable for socket in watched[key_id]]
            # Its client may not read why it is closed; the others do not wait for that.
            closing = [asyncio.wait_for(socket.revoke(), INTERVAL_SECONDS) for socket in revoked]
            for outcome in await asyncio.gather(*closing, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, TimeoutError):
                    logger.error("socket of a revoked key not closed", exc_info=outcome)


open_sockets = OpenSockets()
