"""An upstream that speaks at a given pace and writes the time into each chunk: `python -m bench.fish_upstream`.

A chunk is 4 KiB of PCM whose first eight bytes are the clock at the moment of sending, so that whoever hears it knows
how late it is. The clock is the machine's, the same in every process.
"""

import argparse
import asyncio
import contextlib
import functools
import struct
import time

from tests.fish_stand_in.wire import Exchange, serve_connection

CHUNK_BYTES = 4_096
STAMP = struct.Struct("<q")


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--first-ms", type=float, default=50)
    parser.add_argument("--pace-ms", type=float, default=100)
    parser.add_argument("--chunks", type=int, default=20)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
    answer = functools.partial(_answer, options)
    connected = functools.partial(serve_connection, answer, dict)
    server = await asyncio.start_server(connected, "127.0.0.1", options.port, backlog=1_000)
    async with server:
        await server.serve_forever()


async def _answer(options: argparse.Namespace, exchange: Exchange) -> None:
    loop = asyncio.get_running_loop()
    count = int(exchange.request.headers.get("x-chunks", options.chunks))
    first_at = loop.time() + options.first_ms / 1_000
    padding = bytes(CHUNK_BYTES - STAMP.size)
    for number in range(count):
        await asyncio.sleep(first_at + number * options.pace_ms / 1_000 - loop.time())
        if not number:
            await exchange.begin("audio/pcm")
        await exchange.chunk(STAMP.pack(time.perf_counter_ns()) + padding)
    await exchange.end()


if __name__ == "__main__":
    main()
