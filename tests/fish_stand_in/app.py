"""The stand-in's doors: who may enter, in which order things are checked, and who answers."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.fish_stand_in import account
from tests.fish_stand_in.catalogue import Catalogue
from tests.fish_stand_in.live import LiveSession
from tests.fish_stand_in.models import Models
from tests.fish_stand_in.sound import Speaker, encoded_blocks
from tests.fish_stand_in.speech import send_speech, send_timed_speech
from tests.fish_stand_in.state import FREE_MODEL, Fault, State, Switches
from tests.fish_stand_in.validation import Refusal, checked_speech, model_of, parse_body
from tests.fish_stand_in.wire import Exchange

NO_CREDIT = (
    "Insufficient API credit. API credit is managed independently from platform credit. "
    "Please visit https://fish.audio/app/developers to add credit."
)
SPEECH = ("/v1/tts", "/v1/tts/stream/with-timestamp")
SOCKETS = ("/v1/tts/live", "/v1/tts/live/with-timestamp")


class App:
    """Everything behind the address. `state` may be turned while it runs."""

    def __init__(self, *, speaker: Speaker, catalogue_size: int = 200):
        self.state = State()
        self.models = Models(Catalogue(catalogue_size), self.state)
        self.speaker = speaker

    def common_headers(self) -> dict[str, str]:
        """Return what is on every answer."""
        return {
            "ratelimit-limit-concurrency": str(self.state.switches.concurrency),
            "ratelimit-current-concurrency": str(self.state.in_flight),
            "x-fish-trace-id": uuid.uuid4().hex,
            "x-fishaudio-datacenter": "loopback",
        }

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        try:
            await self._route(exchange)
        except Refusal as refusal:
            await _refuse(exchange, refusal)
        except ConnectionError:
            self.state.dropped_by_client += 1
            exchange.is_open = False

    async def _route(self, exchange: Exchange) -> None:
        request = exchange.request
        path = request.path.rstrip("/")
        if path.startswith("/_"):
            await self._control(exchange, path)
            return
        if request.is_too_long:
            raise Refusal(413, "Payload too large", is_plain=True)
        where = _where(path)
        if where is None:
            raise Refusal(404, "Not Found")
        self._note(exchange, where)
        self._fail(where)
        key = self._key(exchange, path)
        if where in ("tts", "live", "asr"):
            with self._in_flight():
                await self._work(exchange, path, where, key)
        elif where == "model":
            await self.models.handle(exchange, key)
        else:
            wallet = account.api_credit(self.state) if path.endswith("/api-credit") else account.package()
            await exchange.answer_json(200, wallet)

    async def _work(self, exchange: Exchange, path: str, where: str, key: str) -> None:
        request = exchange.request
        model = model_of(request)
        if model != FREE_MODEL and self.state.credit() <= 0:
            raise Refusal(402, NO_CREDIT, headers={"x-fish-error-code": "insufficient_balance"})
        if where == "asr":
            await exchange.answer_json(200, account.transcription(request))
            return

        def check(fields: dict[str, Any]) -> dict[str, Any]:
            knows = lambda voice_id: self.models.knows(voice_id, key)  # noqa: E731
            return checked_speech(fields, model, self.state.switches, knows)

        if where == "live":
            if not request.is_upgrade:
                raise Refusal(400, "Expected a WebSocket upgrade", is_plain=True)
            if await self._upgrade_fault(exchange):
                return
            socket = await exchange.accept_socket()
            await LiveSession(socket, self.state, self.speaker, check, has_times=path == SOCKETS[1]).run()
            return
        fields = parse_body(request)
        self.state.asked[-1]["fields"] = fields
        speech = check(fields)
        self.state.debit(speech["text"], model)
        send = send_timed_speech if path == SPEECH[1] else send_speech
        await send(exchange, self.state, self.speaker, speech)

    async def _upgrade_fault(self, exchange: Exchange) -> bool:
        """Let an upgrade go wrong; True when it did not come about."""
        if slow := self.state.due("live", "slow_upgrade"):
            await asyncio.sleep(slow.seconds)
        if self.state.due("live", "drop"):
            exchange.abort()
            return True
        if self.state.due("live", "endless_refusal"):
            await exchange.begin("text/plain", status=400)
            while True:
                await exchange.chunk(b"no " * 1_000)
        return False

    def _key(self, exchange: Exchange, path: str) -> str:
        header = exchange.request.headers.get("authorization", "")
        key = header.removeprefix("Bearer ").strip()
        is_public = path == "/model" and exchange.request.method == "GET"
        if not header and is_public:
            return ""
        known = self.state.switches.keys
        if not key or (known and key not in known):
            if path.startswith("/model"):
                raise Refusal(401, "No permission -- see authorization schemes", is_plain=True)
            raise Refusal(401, "Invalid Token", headers={"x-fish-error-code": "invalid_api_key"})
        return key

    def _fail(self, where: str) -> None:
        fault = self.state.due(where, "status")
        if fault is None:
            return
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
        message = fault.message or {402: NO_CREDIT, 401: "Invalid Token"}.get(
            fault.status, f"Fault {fault.status}"
        )
        raise Refusal(
            fault.status, message, is_plain=fault.is_plain, fields=fault.fields or None, headers=headers
        )

    @contextlib.contextmanager
    def _in_flight(self) -> Iterator[None]:
        state = self.state
        if state.in_flight >= state.switches.concurrency:
            headers = {"Retry-After": "1"} if state.switches.has_retry_after else {}
            raise Refusal(429, "You have exceeded your current concurrency limit", headers=headers)
        state.in_flight += 1
        state.most_in_flight = max(state.most_in_flight, state.in_flight)
        try:
            yield
        finally:
            state.in_flight -= 1

    def _note(self, exchange: Exchange, where: str) -> None:
        request = exchange.request
        self.state.asked.append(
            {
                "where": where,
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "headers": request.headers,
                "size": len(request.body),
            }
        )

    async def _control(self, exchange: Exchange, path: str) -> None:
        """Let another process turn the switches, and hear the samples of the catalogue."""
        request = exchange.request
        if path.startswith("/_samples/"):
            await self._send_sample(exchange, path)
        elif path == "/_control/faults":
            self.state.fail(**json.loads(request.body))
            await exchange.answer_json(201, {})
        elif path == "/_control/switches":
            for name, value in json.loads(request.body).items():
                kind = type(getattr(self.state.switches, name))
                setattr(self.state.switches, name, Decimal(value) if kind is Decimal else kind(value))
            await exchange.answer_json(200, {})
        elif path == "/_control/reset":
            self.state.reset()
            await exchange.answer_json(200, {})
        elif path == "/_control/asked":
            await exchange.answer(
                200, json.dumps(self.state.asked, default=repr).encode(), "application/json"
            )
        elif path == "/_control/catalogue":
            change = json.loads(request.body)
            act = (
                self.models.catalogue.remove if change["action"] == "remove" else self.models.catalogue.change
            )
            act(change["id"])
            await exchange.answer_json(200, {})
        else:
            raise Refusal(404, "Not Found")

    async def _send_sample(self, exchange: Exchange, path: str) -> None:
        voice_id = path.removeprefix("/_samples/").removesuffix(".mp3")
        if voice_id not in self.models.catalogue.entries:
            raise Refusal(404, "Not Found")
        text = "Bonjour, voici un exemple de ma voix."
        request = checked_speech(
            {"text": text, "reference_id": voice_id}, "s2.1-pro", Switches(), lambda _voice: True
        )
        sound = b"".join([data async for data in encoded_blocks(self.speaker, request, "true")])
        await exchange.answer(200, sound, "audio/mpeg")


def _where(path: str) -> str | None:
    if path in SPEECH:
        return "tts"
    if path in SOCKETS:
        return "live"
    if path == "/model" or path.startswith("/model/"):
        return "model"
    if path.startswith("/wallet/") and path.endswith(("/api-credit", "/package")):
        return "wallet"
    return "asr" if path == "/v1/asr" else None


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    if refusal.fields is not None:
        await exchange.answer_json(refusal.status, refusal.fields, refusal.headers)
    elif refusal.is_plain:
        await exchange.answer(
            refusal.status, refusal.message.encode(), "text/plain; charset=utf-8", refusal.headers
        )
    else:
        body = {"message": refusal.message, "status": refusal.status}
        await exchange.answer_json(refusal.status, body, refusal.headers)


__all__ = ["App", "Fault", "Switches"]
