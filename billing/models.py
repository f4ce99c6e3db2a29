"""The books: credit accounts, immutable entries, holds, grants, prices, and what Stripe told us.

All amounts are integers in micro-euros. On a customer's account a positive entry is credit. What balances
it is a leg on a house account; those keep no running balance, which would be the hottest row of the site:
their entries are summed.
"""

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

ENGINE_TITLES = {"kokoro": _("Kokoro (local)"), "fish": "Fish Audio"}


class Account(models.Model):
    """The credit of one user. Only `billing.ledger` and `billing.services` write its sums, each in one
    transaction with the entry or hold that explains it; `manage.py check_ledger` proves that they agree.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="credit_account", verbose_name=_("compte")
    )
    balance_micros = models.BigIntegerField(_("solde (µ€)"), default=0)
    held_micros = models.BigIntegerField(_("réservé (µ€)"), default=0)
    granted_micros = models.BigIntegerField(_("dont offert (µ€)"), default=0)
    open_holds = models.PositiveIntegerField(_("réservations ouvertes"), default=0)
    # Generic cell rate algorithm: the moment at which the requests made so far would have been evenly spread.
    rate_at = models.DateTimeField(default=timezone.now, editable=False)
    # The earliest expiry among the grants that have something left; holds look at grants only once it has
    # passed.
    grants_expire_at = models.DateTimeField(_("prochaine expiration"), null=True, blank=True)
    # A settlement that takes the balance below this line calls `tasks.watch_credit`.
    watch_micros = models.BigIntegerField(null=True, editable=False)
    low_credit_level = models.PositiveSmallIntegerField(default=0, editable=False)
    is_frozen = models.BooleanField(_("gelé par un litige"), default=False)
    stripe_customer_id = models.CharField(_("client Stripe"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("ouvert le"), default=timezone.now)

    class Meta:
        verbose_name = _("compte de crédit")
        verbose_name_plural = _("comptes de crédit")
        constraints = [
            models.CheckConstraint(condition=Q(held_micros__gte=0), name="account_held_not_negative"),
            models.CheckConstraint(condition=Q(granted_micros__gte=0), name="account_granted_not_negative"),
            models.CheckConstraint(condition=Q(open_holds__gte=0), name="account_open_holds_not_negative"),
        ]

    def __str__(self) -> str:
        return str(self.user)

    @property
    def available_micros(self) -> int:
        return self.balance_micros - self.held_micros


class Entry(models.Model):
    """One leg of a movement of credit. Rows are never changed or deleted: triggers refuse it, corrections
    are new rows.

    The legs of one movement share `source_type` and `source_id`, which together are its idempotency key; a
    deferred trigger refuses a movement whose legs do not sum to zero.
    """

    class Kind(models.TextChoices):
        TOP_UP = "topup", _("recharge")
        CAPTURE = "capture", _("synthèse")
        REFUND = "refund", _("remboursement")
        REFUND_REVERSAL = "refund_reversal", _("remboursement annulé")
        DISPUTE = "dispute", _("litige")
        DISPUTE_REVERSAL = "dispute_reversal", _("litige gagné")
        GRANT = "grant", _("crédit offert")
        EXPIRY = "expiry", _("expiration")
        ADJUST = "adjust", _("ajustement")

    class House(models.TextChoices):
        STRIPE = "stripe", _("encaissements Stripe")
        REVENUE = "revenue", _("ventes")
        PROMOTION = "promotion", _("crédits offerts")
        DISPUTES = "disputes", _("litiges")
        ADJUSTMENTS = "adjustments", _("ajustements")

    account = models.ForeignKey(
        Account,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="entries",
        verbose_name=_("compte"),
    )
    house = models.CharField(_("compte interne"), max_length=16, choices=House, blank=True, default="")
    amount_micros = models.BigIntegerField(_("montant (µ€)"))
    kind = models.CharField(_("nature"), max_length=16, choices=Kind)
    balance_after_micros = models.BigIntegerField(_("solde après (µ€)"), null=True, blank=True)
    source_type = models.CharField(_("origine"), max_length=32)
    source_id = models.CharField(_("référence"), max_length=255)
    reason = models.CharField(_("motif"), max_length=500, blank=True, default="")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("opérateur"),
    )
    created_at = models.DateTimeField(_("le"), default=timezone.now)

    class Meta:
        verbose_name = _("écriture")
        constraints = [
            models.UniqueConstraint(
                fields=["source_type", "source_id", "house"], name="entry_once_per_source"
            ),
            models.CheckConstraint(condition=~Q(amount_micros=0), name="entry_amount_not_zero"),
            models.CheckConstraint(
                condition=Q(account__isnull=False, house="", balance_after_micros__isnull=False)
                | Q(account__isnull=True, house__gt="", balance_after_micros__isnull=True),
                name="entry_customer_or_house",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "-id"], name="entry_statement", condition=Q(account__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.amount_micros}"


class HoldQuerySet(models.QuerySet["Hold"]):
    def open(self) -> "HoldQuerySet":
        """Keep the holds that still reserve credit."""
        return self.filter(state=Hold.State.OPEN)

    def overdue(self) -> "HoldQuerySet":
        """Keep the open holds whose time is up, the oldest first."""
        return self.open().filter(expires_at__lte=timezone.now()).order_by("expires_at", "pk")


class Hold(models.Model):
    """Credit reserved for one synthesis. It leaves OPEN exactly once, and then says what was used."""

    class State(models.TextChoices):
        OPEN = "open", _("ouverte")
        CAPTURED = "captured", _("débitée")
        VOIDED = "voided", _("rendue")
        EXPIRED = "expired", _("expirée")

    account = models.ForeignKey(
        Account, models.PROTECT, db_index=False, related_name="holds", verbose_name=_("compte")
    )
    amount_micros = models.BigIntegerField(_("réservé (µ€)"))
    captured_micros = models.BigIntegerField(_("débité (µ€)"), default=0)
    state = models.CharField(_("état"), max_length=8, choices=State, default=State.OPEN)
    expires_at = models.DateTimeField(_("expire le"))
    created_at = models.DateTimeField(_("ouverte le"), default=timezone.now)
    closed_at = models.DateTimeField(_("close le"), null=True, blank=True)

    # What it was used for, written when it is settled: the usage and margin reports read nothing else.
    engine = models.CharField(_("moteur"), max_length=16, blank=True, default="")
    characters = models.PositiveIntegerField(_("caractères"), default=0)
    upstream_bytes = models.PositiveIntegerField(_("octets du fournisseur"), default=0)
    upstream_cost_micros = models.BigIntegerField(_("coût du fournisseur (µ€)"), default=0)
    api_key_id = models.UUIDField(_("clé d’API"), null=True, blank=True)
    voice_id = models.CharField(_("voix"), max_length=32, blank=True, default="")
    voice_title = models.CharField(_("titre de la voix"), max_length=200, blank=True, default="")

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("réservation")
        constraints = [
            models.CheckConstraint(condition=Q(amount_micros__gte=0), name="hold_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(captured_micros__gte=0, captured_micros__lte=F("amount_micros")),
                name="hold_capture_within_hold",
            ),
            models.CheckConstraint(
                condition=Q(state="open", closed_at__isnull=True, captured_micros=0)
                | Q(state="captured", closed_at__isnull=False)
                | Q(state__in=("voided", "expired"), closed_at__isnull=False, captured_micros=0),
                name="hold_state_consistent",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="hold_overdue", condition=Q(state="open")),
            models.Index(fields=["account", "closed_at"], name="hold_usage"),
            BrinIndex(fields=["closed_at"], name="hold_margin", autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()} {self.amount_micros}"


class Grant(models.Model):
    """Credit that was given, not bought. It is used before bought credit: lowest priority number first,
    then the earliest expiry, then the oldest.
    """

    account = models.ForeignKey(Account, models.PROTECT, related_name="grants", verbose_name=_("compte"))
    amount_micros = models.BigIntegerField(_("montant (µ€)"))
    remaining_micros = models.BigIntegerField(_("reste (µ€)"))
    priority = models.PositiveSmallIntegerField(_("priorité"), default=50)
    expires_at = models.DateTimeField(_("expire le"), null=True, blank=True)
    reason = models.CharField(_("motif"), max_length=500)
    created_at = models.DateTimeField(_("accordé le"), default=timezone.now)

    class Meta:
        verbose_name = _("crédit offert")
        verbose_name_plural = _("crédits offerts")
        constraints = [
            models.CheckConstraint(condition=Q(amount_micros__gt=0), name="grant_amount_positive"),
            models.CheckConstraint(
                condition=Q(remaining_micros__gte=0, remaining_micros__lte=F("amount_micros")),
                name="grant_remaining_within_amount",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="grant_expiry", condition=Q(remaining_micros__gt=0))
        ]

    def __str__(self) -> str:
        return self.reason


class GrantUse(models.Model):
    """What one entry took from one grant."""

    entry = models.ForeignKey(Entry, models.PROTECT, related_name="grant_uses")
    grant = models.ForeignKey(Grant, models.PROTECT, related_name="uses")
    amount_micros = models.BigIntegerField()

    class Meta:
        verbose_name = _("utilisation d’un crédit offert")
        constraints = [
            models.UniqueConstraint(fields=["entry", "grant"], name="grant_use_once"),
            models.CheckConstraint(condition=Q(amount_micros__gt=0), name="grant_use_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.grant} {self.amount_micros}"


class Price(models.Model):
    """What a character costs with one engine from a date on, and what the supplier bills for it."""

    engine = models.CharField(_("moteur"), max_length=16, choices=ENGINE_TITLES)
    micros_per_character = models.PositiveIntegerField(_("prix par caractère (µ€)"))
    upstream_micros_per_million_bytes = models.PositiveBigIntegerField(
        _("prix du fournisseur par million d’octets (µ€)"), default=0
    )
    starts_at = models.DateTimeField(_("à partir du"), default=timezone.now)

    class Meta:
        verbose_name = _("prix")
        verbose_name_plural = _("prix")
        constraints = [models.UniqueConstraint(fields=["engine", "starts_at"], name="price_one_per_start")]

    def __str__(self) -> str:
        return f"{self.engine} {self.micros_per_character} µ€"

    @property
    def engine_title(self) -> str:
        return str(ENGINE_TITLES.get(self.engine, self.engine))

    @property
    def euros_per_million(self) -> int:
        return self.micros_per_character


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
