"""Run the stand-in in a thread of a test, or for ever."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

from tests.fish_stand_in.app import App
from tests.fish_stand_in.sound import Speaker, ToneSpeaker
from tests.fish_stand_in.state import State
from tests.fish_stand_in.wire import serve_connection

START_SECONDS = 10


class StandIn:
    """A running stand-in, as a test sees it."""

    def __init__(self, app: App):
        self.app = app
        self.base_url = ""

    @property
    def state(self) -> State:
        return self.app.state

    def fail(self, kind: str, **details: Any) -> None:
        """Let something go wrong; see tests.fish_stand_in.state.Fault."""
        self.app.state.fail(kind, **details)

    def asked(self, where: str) -> list[dict[str, Any]]:
        """Return what was asked of one place so far."""
        return [item for item in list(self.state.asked) if item["where"] == where]


async def serve(app: App, *, host: str = "127.0.0.1", port: int = 0) -> asyncio.Server:
    """Start listening and return the server."""
    connected = functools.partial(serve_connection, app.handle, app.common_headers)
    return await asyncio.start_server(connected, host, port, limit=2**20)


@contextlib.contextmanager
def running_stand_in(*, speaker: Speaker | None = None, catalogue_size: int = 200) -> Iterator[StandIn]:
    """Serve on a free port, in a thread with a loop of its own, until the block ends."""
    stand_in = StandIn(App(speaker=speaker or ToneSpeaker(), catalogue_size=catalogue_size))
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        server = await serve(stand_in.app)
        stand_in.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        server.close()
        mine = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)

    thread = threading.Thread(
        target=lambda: loop.run_until_complete(run()), name="fish-stand-in", daemon=True
    )
    thread.start()
    if not ready.wait(START_SECONDS):
        raise RuntimeError("the stand-in did not start")
    try:
        yield stand_in
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS)
        loop.close()
