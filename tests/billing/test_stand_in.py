"""The stand-in is as Stripe's SDK says Stripe is: the SDK's own typed classes are the judge."""

import json
import urllib.request
from typing import Any, Literal, get_args, get_origin

import pytest
import stripe

from tests.stripe_stand_in import StandIn

KEY = "sk_test_banc"
CLASSES = {
    "checkout.session": stripe.checkout.Session,
    "payment_intent": stripe.PaymentIntent,
    "setup_intent": stripe.SetupIntent,
    "payment_method": stripe.PaymentMethod,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "balance_transaction": stripe.BalanceTransaction,
    "invoice": stripe.Invoice,
    "customer": stripe.Customer,
    "event": stripe.Event,
}


@pytest.fixture
def stand_in():
    stand_in = StandIn()
    stand_in.start()
    yield stand_in
    stand_in.stop()


def client(stand_in: StandIn, key: str = KEY, retries: int = 0) -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": stand_in.url}, max_network_retries=retries)


def session_of(api: stripe.StripeClient, cents: int = 1_000, **more: Any) -> stripe.checkout.Session:
    price = {"currency": "eur", "unit_amount": cents, "product_data": {"name": "Crédit"}}
    parameters: Any = {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        "allowed_payment_method_types": ["card", "sepa_debit"],
        "invoice_creation": {"enabled": True},
        "success_url": "http://localhost/retour?session_id={CHECKOUT_SESSION_ID}",
        **more,
    }
    return api.v1.checkout.sessions.create(parameters)


def problems(thing: dict[str, Any]) -> list[str]:
    """Return what the SDK does not know of an object, or misses in it."""
    found: list[str] = []
    kind = CLASSES[thing["object"]]
    for name, annotation in kind.__annotations__.items():
        if name == "OBJECT_NAME":
            continue
        text = str(annotation)
        if not text.startswith("typing.Optional") and name not in thing:
            found.append(f"{thing['object']}.{name} is missing")
        if name in thing and isinstance(thing[name], str):
            literals = [value for part in _parts(annotation) for value in get_args(part)]
            if literals and thing[name] not in literals:
                found.append(f"{thing['object']}.{name} = {thing[name]!r} is not one of {literals}")
    found += [f"{thing['object']}.{name} is unknown" for name in thing if name not in kind.__annotations__]
    return found


def _parts(annotation: Any) -> list[Any]:
    """Return the Literal types inside an annotation."""
    if get_origin(annotation) is Literal:
        return [annotation]
    return [part for inner in get_args(annotation) for part in _parts(inner)]


def test_every_object_is_as_the_sdk_declares_it(stand_in: StandIn) -> None:
    world, api = stand_in.world(KEY), client(stand_in)
    customer = api.v1.customers.create({"email": "alice@example.fr"})
    paid = session_of(api, customer=customer.id)
    world.pay(paid.id, "4242 4242 4242 4242")
    charge = world.all("charge")[0]
    api.v1.refunds.create({"charge": charge["id"], "amount": 100})
    dispute = world.open_dispute(charge["id"])
    world.close_dispute(dispute["id"], "won")
    warned = session_of(api)
    world.pay(warned.id, "4242424242424242")
    world.close_dispute(
        world.open_dispute(world.all("charge")[0]["id"], warning=True)["id"], "warning_closed"
    )
    debit = session_of(api)
    world.promise(debit.id, "DE62 3704 0044 0532 0130 01")
    world.settle_sepa(debit.id)
    world.expire(session_of(api).id)
    setup: Any = {
        "mode": "setup",
        "currency": "eur",
        "customer": customer.id,
        "success_url": "http://localhost/",
    }
    saved = api.v1.checkout.sessions.create(setup)
    world.pay(saved.id, "4242424242424242")

    things = [*world.things.values(), *world.events, *(event["data"]["object"] for event in world.events)]
    things += [movement for thing in world.all("dispute") for movement in thing["balance_transactions"]]
    assert {thing["object"] for thing in things} == set(CLASSES)
    assert [problem for thing in things for problem in problems(thing)] == []
    known = set(get_args(stripe.Event.__annotations__["type"]))
    assert {event["type"] for event in world.events} <= known


def test_expansion_and_lists(stand_in: StandIn) -> None:
    api = client(stand_in)
    sessions = [session_of(api) for _ in range(5)]
    stand_in.world(KEY).pay(sessions[0].id, "4242424242424242")
    expand = ["payment_intent.latest_charge", "line_items", "invoice"]
    session = api.v1.checkout.sessions.retrieve(sessions[0].id, {"expand": expand}).to_dict()
    assert session["payment_intent"]["latest_charge"]["amount"] == 1_000
    assert session["line_items"]["data"][0]["amount_total"] == 1_000
    assert session["invoice"]["hosted_invoice_url"].startswith(stand_in.url)
    pages = api.v1.checkout.sessions.list({"limit": 2})
    assert [found.id for found in pages.auto_paging_iter()] == [made.id for made in sessions][::-1]


def test_tax_is_not_in_the_subtotal(stand_in: StandIn) -> None:
    session = session_of(client(stand_in), automatic_tax={"enabled": True})
    assert (session.amount_subtotal, session.amount_total) == (1_000, 1_200)


def test_idempotency(stand_in: StandIn) -> None:
    api = client(stand_in)
    options: Any = {"idempotency_key": "une-fois"}
    first = api.v1.customers.create({"email": "a@example.fr"}, options)
    again = api.v1.customers.create({"email": "a@example.fr"}, options)
    assert first.id == again.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        api.v1.customers.create({"email": "b@example.fr"}, options)

    stand_in.trouble.append((500, True))
    failing: Any = {"idempotency_key": "en-panne"}
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            api.v1.customers.create({"email": "c@example.fr"}, failing)
    assert len(stand_in.world(KEY).all("customer")) == 2

    wrong: Any = {"idempotency_key": "invalide"}
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.checkout.sessions.create({"mode": "payment"}, wrong)
    items = [{"price_data": {"currency": "eur", "unit_amount": 5, "product_data": {"name": "x"}}}]
    better: Any = {"mode": "payment", "line_items": items}
    api.v1.checkout.sessions.create(better, wrong)


def test_errors_are_the_sdks_own(stand_in: StandIn) -> None:
    api, world = client(stand_in), stand_in.world(KEY)
    with pytest.raises(stripe.AuthenticationError):
        client(stand_in, "pk_nothing").v1.customers.retrieve("cus_x")
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: payment_method_types"):
        session_of(api, payment_method_types=["card"])  # its name before API 2026-10-28
    with pytest.raises(stripe.InvalidRequestError) as missing:
        api.v1.customers.retrieve("cus_x")
    assert missing.value.request_id
    session = session_of(api)
    world.pay(session.id, "4242424242424242")
    charge = world.all("charge")[0]["id"]
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        api.v1.refunds.create({"charge": charge, "amount": 1_001})
    api.v1.refunds.create({"charge": charge})
    with pytest.raises(stripe.InvalidRequestError) as twice:
        api.v1.refunds.create({"charge": charge})
    assert twice.value.code == "charge_already_refunded"
    stand_in.trouble.append((429, False))
    with pytest.raises(stripe.RateLimitError):
        api.v1.customers.retrieve("cus_x")


def test_keys_do_not_see_each_other(stand_in: StandIn) -> None:
    mine = client(stand_in).v1.customers.create({"email": "a@example.fr"})
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        client(stand_in, "sk_test_autre").v1.customers.retrieve(mine.id)
    assert not mine.livemode
    assert client(stand_in, "sk_live_vrai").v1.customers.create({"email": "a@example.fr"}).livemode
    assert stand_in.url.startswith("http://127.0.0.1:")


def test_deliveries_are_signed_anew_and_tried_again(stand_in: StandIn) -> None:
    delivery, world = stand_in.delivery, stand_in.world(KEY)
    delivery.url = stand_in.url + "/nowhere"
    delivery.secrets = ["whsec_neu", "whsec_alt"]
    body = b'{"id": "evt_1", "object": "event", "type": "charge.succeeded"}'
    for secret in delivery.secrets:
        assert stripe.Webhook.construct_event(body, delivery.signature(body), secret)["id"] == "evt_1"
    delivery.is_held = True
    customer = client(stand_in).v1.customers.create({"email": "a@example.fr"})
    world.tell("customer.created", world.things[customer.id])
    delivery.is_held = False
    stand_in.settle()
    for pause in (5, 60, 600):
        assert [status for _, status in delivery.log][-1] == 404
        before = len(delivery.log)
        stand_in.forward(pause)
        stand_in.settle()
        assert len(delivery.log) == before + 1
    undelivered = client(stand_in).v1.events.list({"delivery_success": False})
    assert [event.type for event in undelivered.data] == ["customer.created"]


def test_the_page_is_served(stand_in: StandIn) -> None:
    session = session_of(client(stand_in))
    with urllib.request.urlopen(str(session.url)) as page:  # noqa: S310
        assert "10,00 €" in page.read().decode()
    assert json.dumps(stand_in.world(KEY).things[session.id])
