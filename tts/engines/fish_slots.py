"""The upstream slots that this process holds, kept alive while their work goes on (see voices.limiter)."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from django.conf import settings
from django.db import Error

from fr02.bridge import in_database
from tts.engines.base import EngineBusy
from voices import limiter

logger = logging.getLogger(__name__)


class UpstreamSlots:
    """Take slots for streams and extend their leases; one instance per process."""

    def __init__(self) -> None:
        self._held: dict[uuid.UUID, tuple[asyncio.AbstractEventLoop, float]] = {}
        self._beats: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def taken(self, account: str) -> AsyncIterator[None]:
        """Hold a slot for the account. Raises EngineBusy at once when there is none for it.

        The slot is given back however the work ends, also when the task that held it is cancelled.
        """
        slot = await self._acquired(account)
        loop = asyncio.get_running_loop()
        self._held[slot] = loop, loop.time()
        if loop not in self._beats:
            self._beats[loop] = loop.create_task(self._beat(loop))
        try:
            yield
        finally:
            self._held.pop(slot, None)
            await self.see_through(self._release(slot))

    async def see_through(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run work to its end even when the task that waits for it is cancelled meanwhile."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop extending leases and wait for what is still being given back."""
        for beat in self._beats.values():
            beat.cancel()
        self._beats.clear()
        if self._background:
            await asyncio.wait(self._background)

    async def _acquired(self, account: str) -> uuid.UUID:
        task = asyncio.get_running_loop().create_task(in_database(limiter.acquire, account=account))
        try:
            slot = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._give_back)
            raise
        if slot is None:
            raise EngineBusy(limiter.RETRY_AFTER_S, "every upstream slot is taken")
        return slot

    def _give_back(self, task: "asyncio.Task[uuid.UUID | None]") -> None:
        if task.cancelled() or task.exception() is not None:
            return
        slot = task.result()
        if slot is not None:
            release = task.get_loop().create_task(self._release(slot))
            self._background.add(release)
            release.add_done_callback(self._background.discard)

    async def _release(self, slot: uuid.UUID) -> None:
        try:
            await in_database(limiter.release, slot=slot)
        except Error:
            # Its lease ends by itself: no reason to call a speech that was delivered a failure.
            logger.exception("an upstream slot could not be given back")

    async def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                await asyncio.sleep(limiter.HEARTBEAT_S)
                # A listener who does not listen keeps what they asked for, not the room of the others.
                since = loop.time() - settings.FISH_SESSION_SECONDS
                slots = [slot for slot, (owner, at) in self._held.items() if owner is loop and at > since]
                if not slots:
                    return
                try:
                    await in_database(limiter.extend, slots=slots)
                except Error:
                    logger.exception("%d upstream slots could not be extended", len(slots))
        finally:
            if self._beats.get(loop) is asyncio.current_task():
                del self._beats[loop]
