"""The HTTP server of the stand-in, on 127.0.0.1 only, and the handle by which tests steer it."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.stripe_stand_in import api, pages
from tests.stripe_stand_in.delivery import Delivery
from tests.stripe_stand_in.objects import new_id
from tests.stripe_stand_in.world import ApiError, Clock, World

POLL_S = 0.05


class StandIn:
    """A running stand-in. `world(key)` is what one secret key sees; `delivery` is the webhook side."""

    def __init__(self, port: int = 0, *, webhook_url: str = "", secrets: list[str] | None = None) -> None:
        self.clock = Clock()
        self.delivery = Delivery(self.clock)
        self.delivery.url, self.delivery.secrets = webhook_url, secrets or []
        # The next API calls answer this: (status, whether the call is executed first), or ("timeout",
        # seconds).
        self.trouble: list[tuple[Any, Any]] = []
        self.calls: list[tuple[str, str]] = []
        self.sepa_after_s: float | None = None
        self._worlds: dict[str, World] = {}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"stand_in": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._is_running = True
        self._deliverer = threading.Thread(target=self._deliver, daemon=True)

    def world(self, key: str) -> World:
        """Return what belongs to a secret key; another key sees nothing of it."""
        with self._lock:
            if key not in self._worlds:
                self._worlds[key] = World(key, self.url, self.clock, self.delivery.publish)
            return self._worlds[key]

    def world_of(self, session_id: str) -> World:
        """Return the world in which a checkout session lives."""
        for world in list(self._worlds.values()):
            if session_id in world.things:
                return world
        raise ApiError(404, "invalid_request_error", f"No such checkout session: '{session_id}'")

    def start(self) -> None:
        """Serve, and deliver what is due, in threads of their own."""
        threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True).start()
        self._deliverer.start()

    def stop(self) -> None:
        """Stop; what is on its way to the endpoint arrives first, nothing does afterwards."""
        self._is_running = False
        self.delivery.forget()
        self._deliverer.join()
        self._server.shutdown()
        self._server.server_close()

    def forward(self, seconds: float) -> None:
        """Move the clock; deliveries that become due go out."""
        self.clock.offset += seconds

    def settle(self, seconds: float = 10) -> None:
        """Wait until no event is due any more."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.delivery.is_busy():
                return
            time.sleep(0.01)
        raise TimeoutError("the stand-in still has events to deliver")

    def _deliver(self) -> None:
        while self._is_running:
            self.delivery.deliver_due()
            if self.sepa_after_s is not None:
                self._settle_sepa()
            time.sleep(POLL_S)

    def _settle_sepa(self) -> None:
        for world in list(self._worlds.values()):
            with world.lock:
                for session_id in list(world.pending_sepa):
                    intent = world.things[world.things[session_id]["payment_intent"]]
                    if intent["created"] + (self.sepa_after_s or 0) <= world.now:
                        world.settle_sepa(session_id)


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet: request lines hold ids."""

    def _handle(self, method: str) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        try:
            if address.path.startswith("/v1/"):
                self._answer_api(method, address.path, body or address.query)
            elif address.path.startswith("/c/pay/"):
                self._answer_page(method, address.path.removeprefix("/c/pay/"), body)
            elif address.path.startswith(("/receipts/", "/invoices/")):
                self._send(200, pages.PAGE.format(body="<p>Reçu d’essai.</p>"), "text/html; charset=utf-8")
            else:
                self._send(404, "{}")
        except ApiError as error:
            self._send(error.status, json.dumps(error.body))

    def _answer_api(self, method: str, path: str, form: str) -> None:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not key.startswith(("sk_", "rk_")):
            error = {"type": "invalid_request_error", "message": "Invalid API Key provided."}
            self._send(401, json.dumps({"error": error}))
            return
        self.stand_in.calls.append((method, path))
        trouble = self.stand_in.trouble.pop(0) if self.stand_in.trouble else None
        if trouble and trouble[0] == "timeout":
            time.sleep(trouble[1])
        idempotency_key = self.headers.get("Idempotency-Key", "")
        if trouble and trouble[0] != "timeout":
            status, executes = trouble
            kind = "rate_limit_error" if status == 429 else "api_error"
            failure = status, {"error": {"type": kind, "message": "On demand."}}
            if executes:
                api.answer(self.stand_in.world(key), method, path, form, idempotency_key, failure)
            self._send(status, json.dumps(failure[1]))
            return
        status, thing, headers = api.answer(self.stand_in.world(key), method, path, form, idempotency_key)
        self._send(status, json.dumps(thing), headers=headers)

    def _answer_page(self, method: str, session_id: str, body: str) -> None:
        world = self.stand_in.world_of(session_id)
        location, page = (
            pages.act(world, session_id, body) if method == "POST" else ("", pages.show(world, session_id))
        )
        if location:
            self._send(303, "", headers={"Location": location})
        else:
            self._send(200, page, "text/html; charset=utf-8")

    def _deliver_first(self) -> None:
        """Let the events arrive before the answer that names their objects, when a test wants that."""
        if self.stand_in.delivery.is_immediate:
            self.stand_in.delivery.deliver_due()

    def _send(
        self,
        status: int,
        text: str,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._deliver_first()
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Request-Id", new_id("req"))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
