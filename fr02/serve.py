"""Serve FR02 with daphne on uvloop: `python -m fr02.serve --port 8000 fr02.asgi:application`.

uvloop nearly halves what a stream costs; it has to be chosen before daphne installs Twisted's reactor.
"""

import asyncio
import sys

import uvloop

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

from daphne import http_protocol  # noqa: E402  the policy comes first
from daphne.cli import CommandLineInterface  # noqa: E402

from fr02.daphne_request import LimitedRequest  # noqa: E402

# Daphne's limits hold in both directions: our own frames carry up to 64 KiB of audio, and a message a little
# over the 64 KiB we accept must reach the application to be refused in French. Beyond, the socket closes.
MESSAGE_BYTES = 128 * 1024

if __name__ == "__main__":
    http_protocol.WebRequest = LimitedRequest  # daphne has no setting for it
    limits = [f"--websocket-max-{what}-size={MESSAGE_BYTES}" for what in ("message", "frame")]
    # A pong stands behind all the audio that the client has not read yet: its absence proves nothing.
    pings = "--ping-timeout=0"
    # Verbosity 0 writes no access log: addresses can carry signatures.
    CommandLineInterface().run([*limits, pings, "--verbosity=0", *sys.argv[1:]])
