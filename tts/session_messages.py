"""What a client may say in a session of the socket: the events, their fields, their order, and their limits."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fr02.errors import Fr02Error, InvalidRequest, RateLimited
from tts.request import (
    SESSION_PARAMETERS,
    SpeechRequest,
    check_string,
    parse_session_request,
    refused_fields,
    too_long,
)

START, TEXT, FLUSH, CANCEL, STOP = "start", "text", "flush", "cancel", "stop"
# Messages of other kinds than text that may wait at once; texts that wait are joined.
MAX_WAITING = 100


@dataclass(frozen=True)
class Event:
    """One event that a client sends: its name, its fields besides `event`, and what it is for."""

    name: str
    fields: tuple[str, ...]
    description: Any


CLIENT_EVENTS = {
    event.name: event
    for event in (
        Event(
            START,
            tuple(parameter.name for parameter in SESSION_PARAMETERS),
            gettext_lazy(
                "Ouvre la session\u00a0: les paramètres du tableau, sans le texte. Toujours le premier message."
            ),
        ),
        Event(
            TEXT,
            ("text",),
            gettext_lazy(
                "Ajoute du texte, mot à mot si vous voulez\u00a0: les phrases sont dites dès qu’elles sont complètes."
            ),
        ),
        Event(
            FLUSH,
            (),
            gettext_lazy(
                "Fait dire tout de suite le texte reçu, même incomplet. Réponse\u00a0: «\u202fflushed\u202f»."
            ),
        ),
        Event(
            CANCEL,
            (),
            gettext_lazy(
                "Arrête la parole et oublie le texte qui n’est pas dit\u00a0: il n’est pas facturé. "
                "Réponse\u00a0: «\u202fcancelled\u202f»."
            ),
        ),
        Event(
            STOP,
            (),
            gettext_lazy(
                "Fin du texte\u00a0: le reste est dit, puis viennent «\u202fdone\u202f» et la fermeture 1000."
            ),
        ),
    )
}


@dataclass(frozen=True)
class Message:
    """One valid message of a session after its start."""

    event: str
    text: str = ""


class Inbox:
    """Keep what the client said until the session comes to it, and know what may be said next."""

    def __init__(self) -> None:
        self.first_text_at: float | None = None
        self.is_stopped = False
        self._waiting: deque[Message] = deque()
        self._error: Fr02Error | None = None
        self._characters = 0
        self._changed = asyncio.Event()

    def put(self, data: Any) -> None:
        """Take a message. Raises InvalidRequest, TextTooLong, RateLimited."""
        message = parse_message(data)
        if self.is_stopped and message.event != CANCEL:
            raise _wrong_event(_("Après «\u202fstop\u202f», seul «\u202fcancel\u202f» est admis."))
        if message.event == TEXT:
            self._add_text(message.text)
        elif sum(waiting.event != TEXT for waiting in self._waiting) >= MAX_WAITING:
            raise RateLimited(_("Trop de messages attendent dans cette session."))
        else:
            self._waiting.append(message)
        self.is_stopped = self.is_stopped or message.event == STOP
        self._changed.set()

    def fail(self, error: Fr02Error) -> None:
        """End the session with this error, whatever waits before it."""
        self._error = self._error or error
        self._changed.set()

    async def wait(self) -> None:
        """Wait until there is something to take."""
        await self._changed.wait()

    def take(self) -> Message:
        """Return the oldest message after `wait`. Raises what the session failed with."""
        if self._error is not None:
            raise self._error
        message = self._waiting.popleft()
        if not self._waiting:
            self._changed.clear()
        return message

    def _add_text(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > settings.TEXT_LIMIT_SOCKET:
            raise too_long(settings.TEXT_LIMIT_SOCKET)
        if text.strip() and self.first_text_at is None:
            self.first_text_at = time.monotonic()
        if self._waiting and self._waiting[-1].event == TEXT:
            text = self._waiting.pop().text + text
        self._waiting.append(Message(TEXT, text))


def is_session(data: Any) -> bool:
    """Tell whether a socket's first message opens a session: it names an event, a one-shot request does not."""
    return isinstance(data, Mapping) and "event" in data


def parse_start(data: Mapping[str, Any]) -> SpeechRequest:
    """Return the request in the first message of a session. Raises InvalidRequest with its pointers."""
    if data["event"] != START:
        raise _wrong_event(_("Le premier message d’une session est «\u202fstart\u202f»."))
    if "text" in data:
        detail = _(
            "«\u202fstart\u202f» ne prend pas de texte\u00a0: envoyez-le ensuite, avec «\u202ftext\u202f»."
        )
        raise InvalidRequest(detail, pointers=[("/text", detail)])
    return parse_session_request({name: value for name, value in data.items() if name != "event"})


def parse_message(data: Any) -> Message:
    """Return a message of a session that has started. Raises InvalidRequest with its pointers."""
    if not isinstance(data, Mapping):
        raise InvalidRequest(_("Le message doit être un objet JSON."))
    name = data.get("event")
    if name == START:
        raise _wrong_event(_("Cette session a déjà commencé."))
    event = CLIENT_EVENTS.get(name) if isinstance(name, str) else None
    if event is None:
        choices = ", ".join(known for known in CLIENT_EVENTS if known != START)
        raise _wrong_event(_("Valeurs possibles\u00a0: {choices}.").format(choices=choices))
    unknown = [field for field in data if field not in ("event", *event.fields)]
    if unknown:
        raise refused_fields([(field, _("Champ inconnu.")) for field in unknown])
    if event.name != TEXT:
        return Message(event.name)
    try:
        return Message(TEXT, check_string(data.get("text")))
    except ValueError as error:
        raise refused_fields([("text", str(error))]) from None


def _wrong_event(detail: str) -> InvalidRequest:
    return InvalidRequest(detail, pointers=[("/event", detail)])
