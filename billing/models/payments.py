"""What was bought, given back and contested, and what Stripe told us. Amounts are integers in micro-euros."""

import uuid

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.models.ledger import Account


class TopUp(models.Model):
    """A purchase of credit. What is credited, and to whom, stands here before Stripe hears of it (never in
    metadata).
    """

    class Kind(models.TextChoices):
        CHECKOUT = "checkout", _("page de paiement")
        AUTOMATIC = "auto", _("automatique")

    class State(models.TextChoices):
        PENDING = "pending", _("en attente")
        PROCESSING = "processing", _("en cours chez la banque")
        PAID = "paid", _("payée")
        FAILED = "failed", _("refusée")
        EXPIRED = "expired", _("abandonnée")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, models.PROTECT, related_name="top_ups", verbose_name=_("compte"))
    kind = models.CharField(_("genre"), max_length=8, choices=Kind)
    state = models.CharField(_("état"), max_length=10, choices=State, default=State.PENDING)
    amount_micros = models.BigIntegerField(_("crédit (µ€)"))
    # Refunded or disputed so far: together never more than what was bought.
    clawed_back_micros = models.BigIntegerField(_("repris (µ€)"), default=0)
    currency = models.CharField(_("devise"), max_length=3, default="eur")
    is_live = models.BooleanField(_("argent réel"))
    session_id = models.CharField(_("session Stripe"), max_length=255, unique=True, null=True, blank=True)
    payment_intent_id = models.CharField(
        _("paiement Stripe"), max_length=255, unique=True, null=True, blank=True
    )
    charge_id = models.CharField(_("encaissement Stripe"), max_length=255, blank=True, default="")
    receipt_url = models.URLField(_("reçu"), max_length=1000, blank=True, default="")
    invoice_url = models.URLField(_("facture"), max_length=1000, blank=True, default="")
    failure = models.CharField(_("cause"), max_length=200, blank=True, default="")
    created_at = models.DateTimeField(_("demandée le"), default=timezone.now)
    credited_at = models.DateTimeField(_("créditée le"), null=True, blank=True)

    class Meta:
        verbose_name = _("recharge")
        constraints = [
            models.CheckConstraint(condition=Q(amount_micros__gt=0), name="topup_amount_positive"),
            models.CheckConstraint(
                condition=Q(clawed_back_micros__gte=0, clawed_back_micros__lte=F("amount_micros")),
                name="topup_clawed_back_within_amount",
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(kind="auto", state__in=("pending", "processing")),
                name="topup_one_automatic_in_flight",
            ),
        ]
        indexes = [models.Index(fields=["account", "-created_at"], name="topup_list")]

    def __str__(self) -> str:
        return f"{self.get_state_display()} {self.amount_micros}"


class AutoTopUp(models.Model):
    """The customer's wish to be topped up with a saved card when the balance falls below a threshold."""

    account = models.OneToOneField(
        Account, models.PROTECT, related_name="auto_top_up", verbose_name=_("compte")
    )
    is_enabled = models.BooleanField(_("active"), default=False)
    threshold_micros = models.BigIntegerField(_("seuil (µ€)"), default=2_000_000)
    amount_micros = models.BigIntegerField(_("montant (µ€)"), default=10_000_000)
    monthly_cap_micros = models.BigIntegerField(_("plafond par mois (µ€)"), default=100_000_000)
    payment_method_id = models.CharField(_("moyen de paiement"), max_length=255, blank=True, default="")
    card_label = models.CharField(_("carte"), max_length=80, blank=True, default="")
    declines = models.PositiveSmallIntegerField(_("refus de suite"), default=0)
    # Nothing is tried before: after a success or a decline the card rests.
    rests_until = models.DateTimeField(_("au repos jusqu’au"), null=True, blank=True)
    stopped_because = models.CharField(_("arrêtée car"), max_length=40, blank=True, default="")

    class Meta:
        verbose_name = _("recharge automatique")
        verbose_name_plural = _("recharges automatiques")
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold_micros__gte=0, amount_micros__gt=0), name="autotopup_amounts"
            )
        ]

    def __str__(self) -> str:
        return f"{self.account}"


class Refund(models.Model):
    """Money given back for a top-up. The credit is taken back once per Stripe refund, however often Stripe
    reports it.
    """

    top_up = models.ForeignKey(TopUp, models.PROTECT, related_name="refunds", verbose_name=_("recharge"))
    stripe_id = models.CharField(_("remboursement Stripe"), max_length=255, unique=True)
    amount_micros = models.BigIntegerField(_("montant (µ€)"), validators=[MinValueValidator(1)])
    # What the credit account really lost: less when a dispute had already taken it.
    debited_micros = models.BigIntegerField(_("repris (µ€)"), default=0)
    status = models.CharField(_("état"), max_length=20)
    reason = models.CharField(_("motif"), max_length=500, blank=True, default="")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("opérateur"),
    )
    created_at = models.DateTimeField(_("le"), default=timezone.now)

    class Meta:
        verbose_name = _("remboursement")

    def __str__(self) -> str:
        return self.stripe_id


class Dispute(models.Model):
    """A payment that the customer contests at the bank. The account is frozen while money is away."""

    top_up = models.ForeignKey(TopUp, models.PROTECT, related_name="disputes", verbose_name=_("recharge"))
    stripe_id = models.CharField(_("litige Stripe"), max_length=255, unique=True)
    amount_micros = models.BigIntegerField(_("montant (µ€)"))
    debited_micros = models.BigIntegerField(_("repris (µ€)"), default=0)
    status = models.CharField(_("état"), max_length=40)
    withdrawn_at = models.DateTimeField(_("fonds retirés le"), null=True, blank=True)
    reinstated_at = models.DateTimeField(_("fonds rendus le"), null=True, blank=True)
    created_at = models.DateTimeField(_("ouvert le"), default=timezone.now)

    class Meta:
        verbose_name = _("litige")

    def __str__(self) -> str:
        return self.stripe_id


class StripeEvent(models.Model):
    """The inbox: each event as Stripe sent it, kept before it is worked on, so that it can be worked on
    again.
    """

    id = models.CharField(_("événement"), primary_key=True, max_length=255)
    type = models.CharField(_("nature"), max_length=100)
    is_live = models.BooleanField(_("argent réel"))
    payload = models.JSONField(_("contenu"))
    received_at = models.DateTimeField(_("reçu le"), default=timezone.now)
    processed_at = models.DateTimeField(_("traité le"), null=True, blank=True)
    # An event that contradicts our own rows is refused, kept and shown to the operator.
    refusal = models.CharField(_("refus"), max_length=500, blank=True, default="")
    attempts = models.PositiveIntegerField(_("essais"), default=0)

    class Meta:
        verbose_name = _("événement Stripe")
        verbose_name_plural = _("événements Stripe")
        indexes = [
            models.Index(fields=["received_at"], name="event_waiting", condition=Q(processed_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"
