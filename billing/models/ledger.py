"""The books: credit accounts, immutable entries, holds, grants, prices, and what Stripe told us.

All amounts are integers in micro-euros. On a customer's account a positive entry is credit. What balances
it is a leg on a house account; those keep no running balance, which would be the hottest row of the site:
their entries are summed.
"""

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from fr02.quota import Quota

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

    # What the limit leaves, on a hold that `hold_credit` has just taken. Not a column.
    quota: Quota | None = None

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
