"""Fish Audio's speech over HTTP: one request out, the bytes as they come, every wait bounded.

A request is repeated only while nothing can have been spoken: when the connection could not be made, and once
when the service refused it as overloaded. Never after its answer began, and never when it may have arrived.
"""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import httpx
import msgpack
from django.conf import settings

from tts.engines.base import EngineFailed, EngineTimeout
from voices.fish_errors import FishError, FishUnavailable, error_from

T = TypeVar("T")

REFUSED_BEFORE_WORK = frozenset({429, 500, 502, 503})
ATTEMPTS = 2
PAUSE_S = 0.25
LONGEST_PAUSE_S = 1.0
MAX_REFUSAL_BYTES = 64 * 1024
KEEP_ALIVE_S = 20.0


class Patience:
    """Bound each wait for the upstream, and all of them together; a slow listener's time does not count.

    What comes before the first byte (connecting, refusals, pauses, tries) is one wait. Only FISH_SESSION_SECONDS
    goes on while nobody listens.
    """

    def __init__(self) -> None:
        self._left_s = settings.FISH_TOTAL_SECONDS
        self._first_left_s = settings.FISH_FIRST_BYTE_SECONDS
        self._ends_at = asyncio.get_running_loop().time() + settings.FISH_SESSION_SECONDS

    async def wait(self, awaitable: Awaitable[T], limit_s: float, *, what: str) -> T:
        """Return what comes within `limit_s` seconds; raises EngineTimeout."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        limit_s = min(limit_s, self._left_s, self._ends_at - started)
        try:
            async with asyncio.timeout(limit_s):
                return await awaitable
        except TimeoutError:
            raise EngineTimeout(f"Fish Audio: no {what} within {max(0.0, limit_s):.1f} s") from None
        finally:
            self._left_s -= loop.time() - started

    async def wait_first(self, awaitable: Awaitable[T], *, what: str) -> T:
        """Return what comes before the first byte, or as the first; raises EngineTimeout."""
        started = asyncio.get_running_loop().time()
        try:
            return await self.wait(awaitable, self._first_left_s, what=what)
        finally:
            self._first_left_s -= asyncio.get_running_loop().time() - started


class FishWire:
    """Hold the shared HTTP client of each event loop, with its pool of connections."""

    def __init__(self) -> None:
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]
        self._clients = weakref.WeakKeyDictionary()

    @property
    def client(self) -> httpx.AsyncClient:
        """Return the client of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            # The slots bound the connections; Patience bounds the time, and knows what is being waited for.
            limits = httpx.Limits(
                max_connections=None, max_keepalive_connections=64, keepalive_expiry=KEEP_ALIVE_S
            )
            timeout = httpx.Timeout(None, connect=settings.FISH_CONNECT_SECONDS)
            self._clients[loop] = httpx.AsyncClient(
                base_url=settings.FISH_BASE_URL, timeout=timeout, limits=limits, follow_redirects=False
            )
        return self._clients[loop]

    async def speak(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> AsyncGenerator[bytes]:
        """Yield the answer's bytes as they arrive. Raises FishError before, EngineFailed, EngineTimeout."""
        patience = Patience()
        content = msgpack.packb(body)

        def ask() -> httpx.Request:
            return self.client.build_request("POST", "/v1/tts", content=content, headers=dict(headers))

        response = await answered(self.client, ask, patience, expected=httpx.codes.OK)
        async with contextlib.aclosing(response):
            _check_is_sound(response)
            chunks = response.aiter_raw()
            try:
                chunk = await patience.wait_first(anext(chunks, b""), what="first byte")
                while chunk:
                    yield chunk
                    chunk = await patience.wait(
                        anext(chunks, b""), settings.FISH_CHUNK_SECONDS, what="next chunk"
                    )
            except httpx.HTTPError as error:
                raise EngineFailed(f"Fish Audio stopped in the middle: {error!r}") from error

    async def close(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()


class NotConnected(FishUnavailable):
    """Nothing was sent: the request may be repeated."""


async def answered(
    client: httpx.AsyncClient, ask: Callable[[], httpx.Request], patience: Patience, *, expected: int
) -> httpx.Response:
    """Send a request, again while that is safe, and return its answer with the expected status, still open.

    Raises FishError, EngineFailed, EngineTimeout.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _sent(client, ask(), patience, expected)
        except FishError as error:
            is_safe = error.status in REFUSED_BEFORE_WORK or isinstance(error, NotConnected)
            pause_s = PAUSE_S if error.retry_after_s is None else error.retry_after_s
            if attempt == ATTEMPTS or not is_safe or pause_s > LONGEST_PAUSE_S:
                raise
            await patience.wait_first(asyncio.sleep(pause_s), what="answer")
    raise AssertionError("unreachable")


async def _sent(
    client: httpx.AsyncClient, request: httpx.Request, patience: Patience, expected: int
) -> httpx.Response:
    try:
        response = await patience.wait_first(client.send(request, stream=True), what="answer")
        if response.status_code == expected:
            return response
        async with contextlib.aclosing(response):
            body = await patience.wait_first(_beginning(response), what="refusal")
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotConnected(f"no connection: {error!r}") from error
    except httpx.HTTPError as error:
        raise EngineFailed(f"Fish Audio did not answer: {error!r}") from error
    raise error_from(response.status_code, response.headers, body)


async def _beginning(response: httpx.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) >= MAX_REFUSAL_BYTES:
            break
    return bytes(body)


def _check_is_sound(response: httpx.Response) -> None:
    content_type = response.headers.get("content-type", "")
    if content_type.startswith(("application/json", "text/")):
        raise EngineFailed(f"Fish Audio answered 200 with {content_type}")
