"""What a synthesis costs. The operator sets a price per character and engine, each with the date it starts."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from billing.models import Price
from fr02.errors import EngineUnavailable


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
    """Return the price of so many characters (Unicode code points after NFC) in micro-euros, now or at a moment.

    Raises EngineUnavailable when the operator has set no price for the engine: nothing is spoken for free by mistake.
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
