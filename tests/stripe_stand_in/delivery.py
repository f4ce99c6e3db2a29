"""Webhook deliveries, and all the ways in which they go wrong.

Every attempt is signed anew. What is not answered with 2xx is tried again with growing pauses, by the
stand-in's clock.
"""

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from stripe import WebhookSignature

from tests.stripe_stand_in.objects import Thing
from tests.stripe_stand_in.world import Clock, World

RETRY_AFTER_S = (5, 60, 600, 3_600, 21_600, 86_400)
TIMEOUT_S = 20


@dataclass
class Faults:
    """What is wrong with the next deliveries, until it is set back."""

    corrupts_body: bool = False
    signs_with: str = ""
    stale_s: int = 0
    drops: bool = False


@dataclass(eq=False)
class Attempt:
    """One event that is to reach the endpoint, and when the next try is due."""

    world: World
    event: Thing
    due_at: float
    tries: int = 0
    statuses: list[int] = field(default_factory=list)


class Delivery:
    """Send events to one endpoint. `secrets` are two while a secret is rolled: then each delivery has two
    signatures.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.url = ""
        self.secrets: list[str] = []
        self.faults = Faults()
        self.is_held = False
        self.is_immediate = False
        self.log: list[tuple[str, int]] = []
        self._waiting: list[Attempt] = []
        self._under_way = 0
        self._lock = threading.Lock()

    def publish(self, world: World, event: Thing) -> None:
        """Take an event; it leaves when its API call is over, or just before the answer in immediate mode."""
        if self.url and not self.faults.drops:
            with self._lock:
                self._waiting.append(Attempt(world, event, self.clock.now()))

    def waiting(self) -> list[Thing]:
        """Return the events that have not arrived yet."""
        with self._lock:
            return [attempt.event for attempt in self._waiting]

    def is_busy(self) -> bool:
        """Tell whether an event is under way or due."""
        with self._lock:
            return self._under_way > 0 or (not self.is_held and bool(self._due()))

    def deliver_due(self) -> int:
        """Send what is due now, in order. Return how many were tried."""
        if self.is_held:
            return 0
        with self._lock:
            due = self._due()
            self._waiting = [attempt for attempt in self._waiting if attempt not in due]
            self._under_way += len(due)
        for attempt in due:
            self._try(attempt)
            with self._lock:
                self._under_way -= 1
        return len(due)

    def release(self, *, order: Any = None, copies: int = 1) -> None:
        """Send everything that is held: in another order (a sort key over events), several times each."""
        self.is_held = False
        with self._lock:
            held, self._waiting = self._waiting, []
        if order is not None:
            held.sort(key=lambda attempt: order(attempt.event))
        for attempt in held:
            for _ in range(copies):
                self._try(attempt)

    def forget(self) -> None:
        """Lose everything that is waiting."""
        with self._lock:
            self._waiting = []

    def send(self, event: Thing) -> int:
        """Send one event now, with the present faults; return the endpoint's status (0: no answer)."""
        body = json.dumps(event, indent=2).encode()
        sent = body.replace(b'"livemode"', b'"Livemode"', 1) if self.faults.corrupts_body else body
        request = urllib.request.Request(  # noqa: S310 the test's own server
            self.url, sent, {"Content-Type": "application/json", "Stripe-Signature": self.signature(body)}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
                status = response.status
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError:
            status = 0
        self.log.append((event["id"], status))
        return status

    def signature(self, body: bytes) -> str:
        """Return the header of this moment: one `t`, and one `v1` per living secret."""
        timestamp = int(self.clock.now()) - self.faults.stale_s
        secrets = [self.faults.signs_with] if self.faults.signs_with else self.secrets
        signed = [
            WebhookSignature._compute_signature(f"{timestamp}.{body.decode()}", secret) for secret in secrets
        ]
        return ",".join([f"t={timestamp}", *(f"v1={signature}" for signature in signed)])

    def _due(self) -> list[Attempt]:
        return [attempt for attempt in self._waiting if attempt.due_at <= self.clock.now()]

    def _try(self, attempt: Attempt) -> None:
        attempt.tries += 1
        status = self.send(attempt.event)
        attempt.statuses.append(status)
        if 200 <= status < 300:
            attempt.world.undelivered.discard(attempt.event["id"])
        elif attempt.tries <= len(RETRY_AFTER_S):
            attempt.due_at = self.clock.now() + RETRY_AFTER_S[attempt.tries - 1]
            with self._lock:
                self._waiting.append(attempt)
