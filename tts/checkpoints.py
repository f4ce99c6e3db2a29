"""Note how far everything that is being spoken has come, all of it together, every two seconds.

A crash is charged up to the last note, and a hold lives as long as it is noted. No stream waits for it: one that
wrote for itself would be late by a transaction each time, and two hundred of them would keep the database busy.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from django.db import Error

from fr02.bridge import in_database
from fr02.errors import Fr02Error
from tts.models import Generation
from tts.services import Delivery, checkpoint_generations

logger = logging.getLogger(__name__)

EVERY_S = 2.0


class Checkpoints:
    """Keep what is being spoken in this process, and note it as long as there is something."""

    def __init__(self) -> None:
        self._running: dict[Generation, tuple[Callable[[], Delivery], Callable[[], None]]] = {}
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    def add(
        self, generation: Generation, delivered: Callable[[], Delivery], lose: Callable[[], None]
    ) -> None:
        """Note the generation from now on; call it on the event loop.

        `delivered` tells how far it has come; `lose` is called when its hold was settled by somebody else.
        """
        self._running[generation] = (delivered, lose)
        loop = asyncio.get_running_loop()
        if loop not in self._tasks:
            self._tasks[loop] = loop.create_task(self._note(loop))

    def remove(self, generation: Generation) -> None:
        """Stop noting it; the row is about to be closed."""
        self._running.pop(generation, None)

    async def _note(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                if not self._running:
                    return
                progress = [
                    (generation, _still(delivered())) for generation, (delivered, _) in self._running.items()
                ]
                try:
                    lost = await in_database(checkpoint_generations, progress=progress)
                except (Error, Fr02Error):
                    logger.exception("the progress of %d syntheses was not noted", len(progress))
                    continue
                for generation in lost:
                    if generation in self._running:
                        self._running[generation][1]()
        finally:
            del self._tasks[loop]


def _still(delivery: Delivery) -> Delivery:
    """Return the delivery as it is now: another thread reads it while the stream goes on."""
    return replace(delivery, characters=dict(delivery.characters))


checkpoints = Checkpoints()
