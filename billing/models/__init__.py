"""The rows of billing: the ledger, and the payments around it."""

from billing.models.ledger import Account, Entry, Grant, GrantUse, Hold, Price
from billing.models.payments import AutoTopUp, Dispute, Refund, StripeEvent, TopUp

__all__ = [
    "Account",
    "AutoTopUp",
    "Dispute",
    "Entry",
    "Grant",
    "GrantUse",
    "Hold",
    "Price",
    "Refund",
    "StripeEvent",
    "TopUp",
]
