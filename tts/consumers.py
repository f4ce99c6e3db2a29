"""`WS /api/v1/tts/stream`: text in, audio out while it is made, then close 1000.

One message with the whole text is answered with binary frames only: the page's script stops at the first text frame
and saves nothing. A first message that names an `event` opens a session instead, whose text comes bit by bit. An error
after the upgrade is one JSON text frame and a close code (api.md). The synthesis runs in its own task, so that a
client who leaves is noticed at once.
"""

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils.translation import gettext as _

from accounts.authentication import key_from_headers
from accounts.services import Caller, redeem_stream_ticket, resolve_key
from fr02 import errors
from fr02.bridge import in_database
from fr02.json_body import parse_json
from tts import session_events
from tts.models import Generation
from tts.pipeline import open_session, open_synthesis
from tts.request import parse_speech_request
from tts.session_messages import Inbox, is_session, parse_start
from tts.socket_watch import open_sockets

logger = logging.getLogger(__name__)

SUBPROTOCOL = "fr02.v1"
TICKET_PREFIX = "ticket."
NORMAL = 1000


class SpeechConsumer(AsyncWebsocketConsumer):
    """One socket, one synthesis: of one text, or of a session."""

    caller: Caller
    is_over = False
    task: asyncio.Task[None] | None = None
    inbox: Inbox | None = None
    idle: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        """Open the socket for a known caller; refuse everybody else before the upgrade."""
        self.request_id = uuid.uuid4().hex
        try:
            self.caller = await self._authenticate()
        except errors.Fr02Error as error:
            await self.close(error.close_code)
            return
        offered = self.scope.get("subprotocols") or []
        await self.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        try:
            open_sockets.add(self)
        except errors.TooManyStreams as error:
            # After the upgrade: before it, a browser learns nothing but that the socket failed.
            await self.refuse(error)
            return
        self._expect_message()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take the one message of this socket, or one more of its session."""
        if self.is_over:
            return
        if self.idle:
            self.idle.cancel()
        if self.inbox is not None:
            self._hear(self.inbox, text_data)
        elif self.task is not None:
            await self._stop_task()
            await self.refuse(errors.InvalidRequest(_("Cette WebSocket n’accepte qu’un seul message.")))
        else:
            try:
                self._begin(_read(text_data))
            except errors.Fr02Error as error:
                await self.refuse(error)

    async def disconnect(self, code: int) -> None:
        """Stop the engine at once: nobody listens any more."""
        self.is_over = True
        open_sockets.discard(self)
        if self.idle:
            self.idle.cancel()
        await self._stop_task()

    async def refuse(self, error: errors.Fr02Error) -> None:
        """Say what is wrong and close with its code."""
        if self.is_over:
            return
        self.is_over = True
        head = {"event": "error"} if self.inbox is not None else {}
        await self.send(text_data=errors.problem_text(error, self.request_id, **head))
        await self.close(error.close_code)

    async def revoke(self) -> None:
        """Close the socket of a key that does not open any more."""
        await self._stop_task()
        await self.refuse(errors.InvalidApiKey())

    def _begin(self, data: Any) -> None:
        if is_session(data):
            self.inbox = Inbox()
            self._expect_message()
            self._start(self._see_through(self._converse(data, self.inbox)))
        else:
            self._start(self._see_through(self._speak(data)))

    async def _see_through(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a synthesis to its end and close the socket, with the reason when it is refused."""
        try:
            await work
            self.is_over = True
            await self.close(NORMAL)
        except errors.Fr02Error as error:
            await self.refuse(error)
        except Exception:
            # The socket would stay open for ever, and its client with it: close, then let the error be seen.
            await self.refuse(errors.InternalError())
            raise

    async def _speak(self, data: Any) -> None:
        request = parse_speech_request(data, text_limit=settings.TEXT_LIMIT_SOCKET)
        synthesis = await open_synthesis(request, self.caller, source=Generation.Source.SOCKET)
        async with contextlib.aclosing(synthesis.stream()) as audio:
            async for sound in audio:
                await self.send(bytes_data=sound)

    async def _converse(self, data: Mapping[str, Any], inbox: Inbox) -> None:
        synthesis = await open_session(parse_start(data), self.caller, inbox)
        try:
            for event in session_events.opening(synthesis):
                await self._tell(event)
        except BaseException:
            await synthesis.abandon()
            raise
        async with contextlib.aclosing(synthesis.pieces()) as pieces:
            async for piece in pieces:
                for event in session_events.about(piece):
                    await self._tell(event)
                if piece.data:
                    await self.send(bytes_data=piece.data)
                    self._expect_message()
        await self._tell(session_events.done(synthesis))

    async def _tell(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(event, ensure_ascii=False))

    def _hear(self, inbox: Inbox, text_data: str | None) -> None:
        try:
            inbox.put(_read(text_data))
        except errors.Fr02Error as error:
            inbox.fail(error)
        self._expect_message()

    def _expect_message(self) -> None:
        """Give the client so long to say the next thing; sound that is being sent counts as a sign of life too."""
        if self.idle:
            self.idle.cancel()
        if self.inbox is None or not self.inbox.is_stopped:
            loop = asyncio.get_running_loop()
            self.idle = loop.call_later(settings.SOCKET_IDLE_SECONDS, self._give_up_waiting)

    def _give_up_waiting(self) -> None:
        seconds = round(settings.SOCKET_IDLE_SECONDS)
        error = errors.IdleTimeout(_("Aucun message reçu en {seconds} secondes.").format(seconds=seconds))
        if self.inbox is not None:
            self.inbox.fail(error)
        else:
            self._start(self.refuse(error))

    async def _authenticate(self) -> Caller:
        headers = {
            name.decode("latin-1").title(): value.decode("latin-1") for name, value in self.scope["headers"]
        }
        _check_origin(headers)
        key = key_from_headers({"X-API-Key": headers.get("X-Api-Key", ""), **headers})
        if key is not None:
            return await in_database(resolve_key, key)
        for offered in self.scope.get("subprotocols") or []:
            if offered.startswith(TICKET_PREFIX):
                return await in_database(redeem_stream_ticket, offered.removeprefix(TICKET_PREFIX))
        raise errors.InvalidApiKey()

    def _start(self, work: Any) -> None:
        self.task = asyncio.get_running_loop().create_task(work)
        self.task.add_done_callback(_report)

    async def _stop_task(self) -> None:
        if self.task is None or self.task is asyncio.current_task():
            return
        self.task.cancel()
        await asyncio.wait([self.task])


def _read(text_data: str | None) -> Any:
    """Return what a message says. Raises InvalidRequest, FileTooLarge."""
    if text_data is None:
        raise errors.InvalidRequest(_("Un message texte (JSON) est attendu, pas binaire."))
    if len(text_data.encode(errors="surrogatepass")) > settings.SOCKET_MESSAGE_BYTES:
        raise errors.FileTooLarge(_("Le message dépasse 64 Kio."))
    return parse_json(text_data)


def _check_origin(headers: dict[str, str]) -> None:
    """Refuse a page of another origin. Clients that are not browsers send no Origin: their key is enough."""
    origin = headers.get("Origin")
    if origin is None or origin in settings.SOCKET_ORIGINS:
        return
    try:
        parts = urlsplit(origin)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or parts.netloc != headers.get("Host"):
        raise errors.Forbidden(_("Cette origine n’est pas permise."))


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("socket failed", exc_info=task.exception())
