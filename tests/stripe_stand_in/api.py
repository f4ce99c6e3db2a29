"""The API under /v1: forms in, JSON out, idempotency keys, expansion, Stripe's errors."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from stripe.params import CustomerCreateParams, PaymentIntentCreateParams, RefundCreateParams
from stripe.params.checkout import SessionCreateParams

from tests.stripe_stand_in import objects
from tests.stripe_stand_in.objects import Thing
from tests.stripe_stand_in.world import ApiError, World, copy

Parameters = dict[str, Any]
TAX_PERCENT = 20


def answer(
    world: World,
    method: str,
    path: str,
    body: str,
    idempotency_key: str,
    failure: tuple[int, Thing] | None = None,
) -> tuple[int, Thing, dict[str, str]]:
    """Answer one request: status, JSON body, headers. The same idempotency key gets the first answer again.

    `failure` is answered instead, and remembered, once the request has been executed: Stripe keeps its own failures too.
    """
    parameters = parse_form(body)
    if method != "POST" or not idempotency_key:
        status, thing = _run(world, method, path, parameters)
        return status, thing, {}
    fingerprint = json.dumps([path, parameters], sort_keys=True)
    with world.lock:
        known = idempotency_key in world.idempotent
        saved = world.idempotent.get(idempotency_key)
        world.idempotent.setdefault(idempotency_key, None)
    if known and saved is None:
        return 409, _idempotency_error("Another request with this key is in progress."), {}
    if saved is not None:
        if saved[0] != fingerprint:
            return 400, _idempotency_error("This key was first used with other parameters."), {}
        return saved[1], saved[2], {"Idempotent-Replayed": "true"}
    status, thing = _run(world, method, path, parameters)
    status, thing = failure or (status, thing)
    if status in (400, 404):
        del world.idempotent[idempotency_key]  # refused before it began: a retry may do better
    else:
        world.idempotent[idempotency_key] = (fingerprint, status, thing)
    return status, thing, {}


def _idempotency_error(message: str) -> Thing:
    return {"error": {"type": "idempotency_error", "message": message}}


def parse_form(body: str) -> Parameters:
    """Read `a[b][0][c]=d` into nested dictionaries and lists."""
    tree: Parameters = {}
    for name, value in parse_qsl(body, keep_blank_values=True):
        head, *keys = [name.split("[")[0], *re.findall(r"\[([^\]]*)\]", name)]
        node, last = tree, head
        for key in keys:
            node, last = node.setdefault(last, {}), key or str(len(node.get(last, {})))
        node[last] = value
    return _with_lists(tree)


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    values = {key: _with_lists(value) for key, value in node.items()}
    return list(values.values()) if values and all(key.isdigit() for key in values) else values


def _run(world: World, method: str, path: str, parameters: Parameters) -> tuple[int, Thing]:
    try:
        with world.lock:
            for verb, pattern, handler in ROUTES:
                if verb == method and (match := re.fullmatch(pattern, path)):
                    _refuse_unknown(parameters, KNOWN.get(pattern) if method == "POST" else None)
                    thing = handler(world, parameters, *match.groups())
                    return 200, _expanded(world, copy(thing), parameters.get("expand", []))
        raise ApiError(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")
    except ApiError as error:
        return error.status, error.body


def _refuse_unknown(parameters: Parameters, known: Any) -> None:
    for name in parameters if known else ():
        if name not in known.__annotations__:
            message = f"Received unknown parameter: {name}"
            raise ApiError(400, "invalid_request_error", message, "parameter_unknown", param=name)


def _expanded(world: World, thing: Thing, paths: list[str]) -> Thing:
    for path in paths:
        node: Any = thing
        for name in path.split("."):
            value = node.get(name)
            if isinstance(value, str) and value in world.things:
                node[name] = value = copy(world.things[value])
            if not isinstance(value, dict):
                break
            node = value
    return thing


def _create_customer(world: World, parameters: Parameters) -> Thing:
    return world.add(
        objects.customer(
            now=world.now,
            livemode=world.livemode,
            email=parameters.get("email", ""),
            metadata=parameters.get("metadata", {}),
        )
    )


def _create_session(world: World, parameters: Parameters) -> Thing:
    mode = _required(parameters, "mode")
    items = _line_items(parameters) if mode == "payment" else []
    amount = sum(item["amount_subtotal"] for item in items)
    has_tax = parameters.get("automatic_tax", {}).get("enabled") == "true"
    total = amount * (100 + TAX_PERCENT) // 100 if has_tax else amount
    currency = items[0]["currency"] if items else _required(parameters, "currency")
    session = world.add(
        objects.checkout_session(
            now=world.now, livemode=world.livemode, mode=mode, amount=amount, total=total, currency=currency
        )
    )
    for name in ("client_reference_id", "success_url", "cancel_url", "locale"):
        session[name] = parameters.get(name)
    session["metadata"] = parameters.get("metadata", {})
    session["payment_method_types"] = parameters.get("allowed_payment_method_types", ["card"])
    session["url"] = f"{world.base}/c/pay/{session['id']}"
    if "expires_at" in parameters:
        session["expires_at"] = int(parameters["expires_at"])
    if "customer" in parameters:
        session["customer"] = world.get(parameters["customer"], "customer")["id"]
    if has_tax:
        session["automatic_tax"] |= {"enabled": True, "status": "complete", "provider": "stripe"}
    if parameters.get("invoice_creation", {}).get("enabled") == "true":
        world.wants_invoice.add(session["id"])
    world.items[session["id"]] = items
    if mode == "setup":
        intent = objects.setup_intent(now=world.now, livemode=world.livemode, customer=session["customer"])
        session["setup_intent"] = world.add(intent)["id"]
    else:
        data = parameters.get("payment_intent_data", {})
        intent = objects.payment_intent(
            now=world.now,
            livemode=world.livemode,
            amount=total,
            currency=currency,
            customer=session["customer"],
        )
        intent |= {"metadata": data.get("metadata", {}), "setup_future_usage": data.get("setup_future_usage")}
        session["payment_intent"] = world.add(intent)["id"]
    return session


def _line_items(parameters: Parameters) -> list[Thing]:
    items = []
    for item in _required(parameters, "line_items"):
        price = item["price_data"]
        amount = int(price["unit_amount"]) * int(item.get("quantity", 1))
        if amount <= 0:
            raise ApiError(
                400, "invalid_request_error", "The amount must be positive.", "parameter_invalid_integer"
            )
        items.append(
            {
                "id": objects.new_id("li"),
                "object": "item",
                "amount_discount": 0,
                "amount_subtotal": amount,
                "amount_tax": 0,
                "amount_total": amount,
                "currency": price["currency"],
                "description": price["product_data"]["name"],
                "quantity": int(item.get("quantity", 1)),
            }
        )
    return items


def _session(world: World, parameters: Parameters, identifier: str) -> Thing:
    session = copy(world.get(identifier, "checkout.session"))
    if "line_items" in parameters.get("expand", []):
        session["line_items"] = _session_items(world, parameters, identifier)
    return session


def _session_items(world: World, parameters: Parameters, identifier: str) -> Thing:
    return _page(world.items[identifier], {}, f"/v1/checkout/sessions/{identifier}/line_items")


def _create_intent(world: World, parameters: Parameters) -> Thing:
    intent = objects.payment_intent(
        now=world.now,
        livemode=world.livemode,
        amount=int(_required(parameters, "amount")),
        currency=_required(parameters, "currency"),
        customer=parameters.get("customer"),
    )
    intent["metadata"] = parameters.get("metadata", {})
    method = world.get(_required(parameters, "payment_method"), "payment_method")
    if method["customer"] != intent["customer"]:
        raise ApiError(400, "invalid_request_error", "The payment method belongs to another customer.")
    intent["payment_method"] = method["id"]
    world.add(intent)
    return world.charge_off_session(intent) if parameters.get("confirm") == "true" else intent


def _create_refund(world: World, parameters: Parameters) -> Thing:
    if "payment_intent" in parameters:
        identifier = world.get(parameters["payment_intent"], "payment_intent")["latest_charge"]
    else:
        identifier = _required(parameters, "charge")
    amount = int(parameters["amount"]) if "amount" in parameters else None
    return world.give_back(world.get(identifier or "", "charge"), amount)


def _refunds(world: World, parameters: Parameters) -> Thing:
    wanted = parameters.get("charge")
    rows = [refund for refund in world.all("refund") if wanted in (None, refund["charge"])]
    return _page(rows, parameters, "/v1/refunds")


def _events(world: World, parameters: Parameters) -> Thing:
    rows = world.events[::-1]
    since = int(parameters.get("created", {}).get("gte", 0))
    types = parameters.get("types") or ([parameters["type"]] if "type" in parameters else [])
    rows = [event for event in rows if event["created"] >= since and (not types or event["type"] in types)]
    if "delivery_success" in parameters:
        wanted = parameters["delivery_success"] == "true"
        rows = [event for event in rows if (event["id"] not in world.undelivered) == wanted]
    return _page(rows, parameters, "/v1/events")


def _event(world: World, parameters: Parameters, identifier: str) -> Thing:
    for event in world.events:
        if event["id"] == identifier:
            return event
    raise ApiError(
        404, "invalid_request_error", f"No such event: '{identifier}'", "resource_missing", param="id"
    )


def _getter(kind: str) -> Callable[..., Thing]:
    return lambda world, parameters, identifier: world.get(identifier, kind)


def _lister(kind: str, url: str) -> Callable[..., Thing]:
    return lambda world, parameters: _page(world.all(kind), parameters, url)


def _page(rows: list[Thing], parameters: Parameters, url: str) -> Thing:
    start, limit = 0, int(parameters.get("limit", 10))
    if after := parameters.get("starting_after"):
        start = next(index for index, row in enumerate(rows) if row["id"] == after) + 1
    data = rows[start : start + limit]
    return {"object": "list", "url": url, "has_more": start + limit < len(rows), "data": data}


def _required(parameters: Parameters, name: str) -> Any:
    if name not in parameters:
        message = f"Missing required param: {name}."
        raise ApiError(400, "invalid_request_error", message, "parameter_missing", param=name)
    return parameters[name]


# What may be sent is what the SDK's own parameter types know.
KNOWN = {
    "/v1/customers": CustomerCreateParams,
    "/v1/checkout/sessions": SessionCreateParams,
    "/v1/payment_intents": PaymentIntentCreateParams,
    "/v1/refunds": RefundCreateParams,
}
ROUTES: list[tuple[str, str, Callable[..., Thing]]] = [
    ("POST", "/v1/customers", _create_customer),
    ("GET", "/v1/customers/([^/]+)", _getter("customer")),
    ("POST", "/v1/checkout/sessions", _create_session),
    ("GET", "/v1/checkout/sessions", _lister("checkout.session", "/v1/checkout/sessions")),
    ("GET", "/v1/checkout/sessions/([^/]+)", _session),
    ("GET", "/v1/checkout/sessions/([^/]+)/line_items", _session_items),
    ("POST", "/v1/checkout/sessions/([^/]+)/expire", lambda world, parameters, name: world.expire(name)),
    ("POST", "/v1/payment_intents", _create_intent),
    ("GET", "/v1/payment_intents", _lister("payment_intent", "/v1/payment_intents")),
    ("GET", "/v1/payment_intents/([^/]+)", _getter("payment_intent")),
    ("GET", "/v1/setup_intents/([^/]+)", _getter("setup_intent")),
    ("GET", "/v1/payment_methods/([^/]+)", _getter("payment_method")),
    ("GET", "/v1/charges/([^/]+)", _getter("charge")),
    ("GET", "/v1/invoices/([^/]+)", _getter("invoice")),
    ("POST", "/v1/refunds", _create_refund),
    ("GET", "/v1/refunds", _refunds),
    ("GET", "/v1/refunds/([^/]+)", _getter("refund")),
    ("GET", "/v1/disputes", _lister("dispute", "/v1/disputes")),
    ("GET", "/v1/disputes/([^/]+)", _getter("dispute")),
    ("GET", "/v1/events", _events),
    ("GET", "/v1/events/([^/]+)", _event),
]
