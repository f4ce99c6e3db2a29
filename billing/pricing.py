"""What a synthesis costs. The operator sets a price per character and engine, with the date it starts."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from billing.models import Price
from fr02.errors import EngineUnavailable

# Micro-euros per character, and what the supplier bills per million UTF-8 bytes. Fish Audio asks 15 USD,
# about 13.90 EUR; French takes 1.04 bytes per character, so that 25 leaves 42 %. The local engine has no
# supplier: 5 pays the machine.
FIRST_PRICES = (("kokoro", 5, 0), ("fish", 25, 13_900_000))
FIRST_PRICES_START_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Quote:
    """What a text of so many characters costs with an engine."""

    engine: str
    characters: int
    micros_per_character: int

    @property
    def cost_micros(self) -> int:
        return self.characters * self.micros_per_character


def price_micros(*, engine: str, characters: int, at: datetime | None = None) -> int:
    """Return the price of so many characters (Unicode code points after NFC) in micro-euros, now or at a
    moment.

    Raises EngineUnavailable when the operator has set no price for the engine: nothing is spoken for free
    by mistake.
    """
    return quote(engine=engine, characters=characters, at=at).cost_micros


def quote(*, engine: str, characters: int, at: datetime | None = None) -> Quote:
    """Return the offer for so many characters. Raises EngineUnavailable when the engine has no price."""
    price = current_price(engine=engine, at=at)
    if price is None:
        raise EngineUnavailable(_("Ce moteur n’a pas encore de prix."))
    return Quote(engine, characters, price.micros_per_character)


def current_price(*, engine: str, at: datetime | None = None) -> Price | None:
    """Return the price in force for an engine, now or at a moment; None when there is none."""
    started = Price.objects.filter(engine=engine, starts_at__lte=at or timezone.now())
    return started.order_by("-starts_at").first()


def price_list() -> list[Price]:
    """Return the price in force of each engine, the cheapest first."""
    started = Price.objects.filter(starts_at__lte=timezone.now())
    newest = started.order_by("engine", "-starts_at").distinct("engine")
    return sorted(newest, key=lambda price: price.micros_per_character)


def set_first_prices() -> None:
    """Give each engine that has no price yet its first one."""
    for engine, micros_per_character, upstream in FIRST_PRICES:
        if not Price.objects.filter(engine=engine).exists():
            Price.objects.create(
                engine=engine,
                micros_per_character=micros_per_character,
                upstream_micros_per_million_bytes=upstream,
                starts_at=FIRST_PRICES_START_AT,
            )
