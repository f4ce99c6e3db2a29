"""What was spoken: one row per synthesis, from its hold to its audio."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey
from billing.models import Hold
from voices.models import Voice


class GenerationQuerySet(models.QuerySet["Generation"]):
    def of(self, user_id: int) -> "GenerationQuerySet":
        """Keep what the account asked for and has not deleted, the newest first."""
        return self.filter(user_id=user_id, deleted_at=None).order_by("-created_at", "-pk")


class Generation(models.Model):
    """One synthesis. Its hold is open exactly as long as it is PENDING."""

    class Status(models.TextChoices):
        PENDING = "pending", _("en cours")
        DONE = "done", _("terminée")
        PARTIAL = "partial", _("interrompue")
        FAILED = "failed", _("échouée")

    class Source(models.TextChoices):
        REST = "rest", "REST"
        SOCKET = "socket", "WebSocket"
        PORTAL = "portal", _("portail")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="generations", verbose_name=_("compte")
    )
    api_key = models.ForeignKey(ApiKey, models.SET_NULL, null=True, blank=True, verbose_name=_("clé d’API"))
    voice = models.ForeignKey(Voice, models.SET_NULL, null=True, verbose_name=_("voix"))
    voice_title = models.CharField(_("titre de la voix"), max_length=200)
    hold = models.OneToOneField(Hold, models.PROTECT, related_name="generation")
    engine = models.CharField(_("moteur"), max_length=16)
    source = models.CharField(_("origine"), max_length=16, choices=Source)
    status = models.CharField(_("état"), max_length=16, choices=Status, default=Status.PENDING)
    failure = models.CharField(_("cause"), max_length=64, blank=True)
    warnings = models.JSONField(_("avertissements"), default=list)

    text = models.TextField(_("texte"))
    parameters = models.JSONField(_("paramètres"), default=dict)
    format = models.CharField(_("format"), max_length=8)
    sample_rate = models.PositiveIntegerField(_("fréquence (Hz)"))
    characters = models.PositiveIntegerField(_("caractères"))
    billed_characters = models.PositiveIntegerField(_("caractères facturés"), default=0)
    cost_micros = models.BigIntegerField(_("coût (µ€)"), default=0)
    upstream_bytes = models.PositiveIntegerField(_("octets facturés par le fournisseur"), default=0)
    duration_ms = models.PositiveIntegerField(_("durée (ms)"), default=0)
    size = models.PositiveIntegerField(_("taille (octets)"), default=0)
    first_audio_ms = models.PositiveIntegerField(_("premier son (ms)"), null=True)
    segments = models.JSONField(default=list)
    audio_name = models.CharField(max_length=200, blank=True)

    idempotency_key = models.CharField(max_length=255, null=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    response = models.JSONField(null=True)

    created_at = models.DateTimeField(_("demandée le"), default=timezone.now)
    finished_at = models.DateTimeField(_("finie le"), null=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    objects = GenerationQuerySet.as_manager()

    class Meta:
        verbose_name = _("synthèse")
        constraints = [
            models.UniqueConstraint(fields=["user", "idempotency_key"], name="generation_idempotency"),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"], name="generation_history"),
            models.Index("created_at", name="generation_pending", condition=models.Q(status="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%d/%m/%Y %H:%M} · {self.voice_title}"
