"""The hosted payment page, plain enough for a browser test and for a person who tries it."""

from html import escape
from urllib.parse import parse_qs

from tests.stripe_stand_in.world import ApiError, World

PAGE = """<!doctype html><html lang="fr"><meta charset="utf-8"><title>Paiement (banc d’essai)</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:16px system-ui;max-width:30rem;margin:3rem auto;padding:0 1rem}}label{{display:block;margin:1rem 0}}
input{{font:inherit;width:100%;padding:.4rem}}button{{font:inherit;padding:.5rem 1rem;margin-right:.5rem}}</style>
<h1>Paiement (banc d’essai)</h1><p>Aucun argent ne bouge : ce n’est pas Stripe.</p>{body}</html>"""
FORM = """<p id="amount"><strong>{amount}</strong></p>{message}
<form method="post"><label>Carte <input name="card" value="4242 4242 4242 4242" inputmode="numeric"></label>
<button name="action" value="pay">Payer</button></form>
<p>Refusée : 4000 0000 0000 0002 · 3-D Secure : 4000 0025 0000 3155</p>
{sepa}<p><a id="cancel" href="{cancel}">Annuler et revenir</a></p>"""
SEPA = """<form method="post"><label>IBAN <input name="iban" value="DE89 3704 0044 0532 0130 00"></label>
<button name="action" value="sepa">Prélever (SEPA)</button></form><p>Échoue plus tard : DE62 3704 0044 0532 0130 01</p>"""
BANK = """<p>Votre banque demande votre accord.</p><form method="post"><input type="hidden" name="card" value="{card}">
<button name="action" value="approve">Autoriser</button><button name="action" value="refuse">Refuser</button></form>"""


def show(world: World, session_id: str, message: str = "") -> str:
    """Return the page of an open session."""
    session = world.get(session_id, "checkout.session")
    if session["status"] != "open":
        return PAGE.format(body="<p>Cette page de paiement n’est plus ouverte.</p>")
    cents = session["amount_total"]
    amount = f"{cents // 100},{cents % 100:02d} €" if cents is not None else "Enregistrer une carte"
    return PAGE.format(
        body=FORM.format(
            amount=amount,
            message=f'<p role="alert">{escape(message)}</p>' if message else "",
            sepa=SEPA if "sepa_debit" in session["payment_method_types"] else "",
            cancel=escape(session["cancel_url"] or "#"),
        )
    )


def act(world: World, session_id: str, body: str) -> tuple[str, str]:
    """Do what a button asks for. Return an address to go to, or a page to show."""
    form = {name: values[-1] for name, values in parse_qs(body).items()}
    card = form.get("card", "").replace(" ", "")
    with world.lock:
        try:
            return _acted(world, session_id, form, card)
        except ApiError as error:
            return "", show(world, session_id, str(error))


def _acted(world: World, session_id: str, form: dict[str, str], card: str) -> tuple[str, str]:
    action = form.get("action")
    if action == "sepa":
        world.promise(session_id, form.get("iban", ""))
    elif action == "approve":
        world.complete(session_id, card)
    elif action == "refuse":
        return "", show(world, session_id, "La banque n’a pas confirmé le paiement.")
    else:
        result = world.pay(session_id, card)
        if result == "3ds":
            return "", PAGE.format(body=BANK.format(card=escape(card)))
        if result != "complete":
            return "", show(world, session_id, f"Votre carte a été refusée ({result}).")
    session = world.get(session_id, "checkout.session")
    return (session["success_url"] or "").replace("{CHECKOUT_SESSION_ID}", session_id), ""
