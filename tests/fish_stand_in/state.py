"""What a test may turn: switches for what is not settled about the service, and faults that wait."""

import threading
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

PRICE_PER_BYTE = Decimal(15) / 1_000_000
FREE_MODEL = "s2.1-pro-free"


@dataclass
class Fault:
    """Something that goes wrong the next `times` times that `where` is asked (None: from now on).

    `where`: tts, live, model, wallet, asr, any. Kinds:
    status (with `status`, `message`, `retry_after`, `is_plain` or `fields` for a 422 array), slow_first_byte,
    slow_upgrade, endless_refusal,
    slow_body and stall (`seconds`, `after`), truncate (`after` chunks; `inside` the next one), drop, near_empty,
    empty, short (`share` of the text is spoken, then it ends as if that were all), not_sound, cut_frame,
    finish_error (`message`), finish_stop (unasked, `after`), error_event (`message`, `max_concurrency`),
    close (`code`, `after`),
    chatter (`seconds` of unknown events, `after`), unknown_event, text_frame, empty_audio, ping,
    no_sound, bad_frame, training_fails.
    """

    kind: str
    where: str = "any"
    times: int | None = 1
    status: int = 500
    message: str = ""
    retry_after: str = ""
    is_plain: bool = False
    fields: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    after: int = 0
    inside: bool = False
    share: float = 0.0
    code: int | None = None
    max_concurrency: int | None = None


@dataclass
class Switches:
    """Both sides of what is not settled about the live service, and the figures of the account."""

    keys: set[str] = field(default_factory=set)  # empty: every key is good
    concurrency: int = 1_000
    credit: Decimal = Decimal("10.000000")
    debit_after_s: float = 5.0
    has_retry_after: bool = False
    is_opus_strict: bool = False  # kbit/s refused, as the newer docs want
    validation_status: int = 400  # 422 in the SDK's docs
    wav_sizes: str = "placeholder"  # or zero, true
    after_finish: str = "keep"  # or 1000, 1005, drop
    delete_status: int = 204  # 200 in the docs
    training_s: float = 0.2
    is_public_downgraded: bool = False
    has_id3: bool = False  # a tag before the first MP3 frame
    live_header: str = "once"  # of WAV on the socket; or never, every (event)
    is_one_event: bool = False  # all the sound of a chunk of text at once
    first_byte_s: float = 0.0
    chunk_s: float = 0.0


class State:
    """The account, its faults and everything that was asked, for the test to look at."""

    def __init__(self) -> None:
        self.switches = Switches()
        self.faults: list[Fault] = []
        self.asked: list[dict[str, Any]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.dropped_by_client = 0
        self.pongs = 0
        self._debits: list[tuple[float, Decimal]] = []
        self._lock = threading.Lock()

    def fail(self, kind: str, **details: Any) -> Fault:
        """Let something go wrong; see Fault."""
        fault = Fault(kind, **details)
        with self._lock:
            self.faults.append(fault)
        return fault

    def due(self, where: str, *kinds: str) -> Fault | None:
        """Take the next fault of these kinds that waits for this place."""
        with self._lock:
            for fault in self.faults:
                if fault.kind in kinds and fault.where in (where, "any"):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self.faults.remove(fault)
                    return fault
        return None

    def reset(self) -> None:
        """Forget faults, switches and what was asked."""
        with self._lock:
            self.faults.clear()
            self.asked.clear()
        self.switches = Switches()
        self.most_in_flight = self.dropped_by_client = self.pongs = 0
        self._debits.clear()

    def debit(self, text: str, model: str) -> None:
        """Charge a text: so many dollars for each byte of it, booked a few seconds later."""
        if model != FREE_MODEL:
            amount = PRICE_PER_BYTE * len(text.encode())
            self._debits.append((time.monotonic() + self.switches.debit_after_s, amount))

    def credit(self) -> Decimal:
        """Return what the wallet shows now."""
        now = time.monotonic()
        for due_at, amount in [debit for debit in self._debits if debit[0] <= now]:
            self.switches.credit -= amount
            self._debits.remove((due_at, amount))
        return self.switches.credit.quantize(Decimal("0.000001"))
