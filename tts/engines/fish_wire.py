"""Fish Audio's speech over HTTP: one request out, the bytes as they come, every wait bounded.

A request is repeated only while nothing can have been spoken: when the connection could not be made, and once
when the service refused it as overloaded. Never after its answer began, and never when it may have arrived.
"""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncGenerator, Awaitable, Mapping
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
    """Bound one wait for the upstream, and all of them together; a slow listener's time does not count."""

    def __init__(self) -> None:
        self._left_s = settings.FISH_TOTAL_SECONDS

    async def wait(self, awaitable: Awaitable[T], limit_s: float, *, what: str) -> T:
        """Return what comes within `limit_s` seconds; raises EngineTimeout."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(min(limit_s, self._left_s)):
                return await awaitable
        except TimeoutError:
            raise EngineTimeout(f"Fish Audio: no {what} within {min(limit_s, self._left_s):.1f} s") from None
        finally:
            self._left_s -= loop.time() - started


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
        async with contextlib.AsyncExitStack() as stack:
            response = await self._answered(content, headers, patience, stack)
            _check_is_sound(response)
            chunks = response.aiter_raw()
            limit_s, what = settings.FISH_FIRST_BYTE_SECONDS, "first byte"
            while True:
                try:
                    chunk = await patience.wait(anext(chunks, b""), limit_s, what=what)
                except httpx.HTTPError as error:
                    raise EngineFailed(f"Fish Audio stopped in the middle: {error!r}") from error
                if not chunk:
                    return
                yield chunk
                limit_s, what = settings.FISH_CHUNK_SECONDS, "next chunk"

    async def close(self) -> None:
        """Close the running loop's connections."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def _answered(
        self,
        content: bytes,
        headers: Mapping[str, str],
        patience: Patience,
        stack: contextlib.AsyncExitStack,
    ) -> httpx.Response:
        for attempt in range(1, ATTEMPTS + 1):
            request = self.client.build_request("POST", "/v1/tts", content=content, headers=dict(headers))
            try:
                return await self._sent(request, patience, stack)
            except FishError as error:
                is_safe = error.status in REFUSED_BEFORE_WORK or isinstance(error, NotConnected)
                if attempt == ATTEMPTS or not is_safe:
                    raise
                await asyncio.sleep(min(error.retry_after_s or PAUSE_S, LONGEST_PAUSE_S))
        raise AssertionError("unreachable")

    async def _sent(
        self, request: httpx.Request, patience: Patience, stack: contextlib.AsyncExitStack
    ) -> httpx.Response:
        limit_s = settings.FISH_FIRST_BYTE_SECONDS
        try:
            sending = self.client.send(request, stream=True)
            response = await patience.wait(sending, limit_s, what="answer")
            if response.status_code == httpx.codes.OK:
                stack.push_async_callback(response.aclose)
                return response
            async with contextlib.aclosing(response):
                body = await patience.wait(_beginning(response), limit_s, what="refusal")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotConnected(f"no connection: {error!r}") from error
        except httpx.HTTPError as error:
            raise EngineFailed(f"Fish Audio did not answer: {error!r}") from error
        raise error_from(response.status_code, response.headers, body)


class NotConnected(FishUnavailable):
    """Nothing was sent: the request may be repeated."""


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
