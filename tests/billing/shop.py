"""A customer at the till: FR02 on a real port, and the stand-in that pays and reports to it."""

from dataclasses import dataclass
from typing import Any

from accounts.models import User
from billing import payments
from billing.models import TopUp
from tests.billing.helpers import EURO
from tests.stripe_stand_in import StandIn
from tests.stripe_stand_in.objects import Thing
from tests.stripe_stand_in.world import World

KEY = "sk_test_boutique"
SECRET = "whsec_boutique"
CARD = "4242424242424242"
REFUSED_LATER = "4000000000000341"
WANTS_OWNER = "4000002760003184"
IBAN = "DE89370400440532013000"
FAILING_IBAN = "DE62370400440532013001"


@dataclass
class Shop:
    """`stand_in` is steered by the test; `world` is what our key sees of Stripe."""

    stand_in: StandIn
    url: str

    @property
    def world(self) -> World:
        return self.stand_in.world(KEY)

    @property
    def delivery(self) -> Any:
        return self.stand_in.delivery

    def order(self, user: User, amount_micros: int = 10 * EURO, *, saves_card: bool = False) -> Thing:
        """Open a payment page and return its session."""
        payments.start_top_up(user=user, amount_micros=amount_micros, saves_card=saves_card)
        return self.world.all("checkout.session")[0]

    def buy(
        self, user: User, amount_micros: int = 10 * EURO, *, card: str = CARD, saves_card: bool = False
    ) -> TopUp:
        """Pay a top-up with a card, up to the arrival of its events."""
        session = self.order(user, amount_micros, saves_card=saves_card)
        self.world.complete(session["id"], card)
        self.stand_in.settle()
        return TopUp.objects.get(session_id=session["id"])

    def charge_of(self, top_up: TopUp) -> str:
        top_up.refresh_from_db()
        return top_up.charge_id

    def told(self, kind: str) -> Thing:
        """Return the last event of a kind."""
        return [event for event in self.world.events if event["type"] == kind][-1]
