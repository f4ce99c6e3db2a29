"""Every voice that FR02 can speak with, in one table."""

import uuid
from collections.abc import Iterable

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.json import KT
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def new_voice_id() -> str:
    """Return a public voice id: 32 hexadecimal digits, the form of Fish Audio's own."""
    return uuid.uuid4().hex


class VoiceQuerySet(models.QuerySet["Voice"]):
    def living(self) -> "VoiceQuerySet":
        """Keep what can be seen at all: neither deleted nor hidden by a moderator."""
        return self.filter(deleted_at=None, is_hidden=False)

    def private_of(self, user_id: int) -> "VoiceQuerySet":
        """Keep the account's own voices, the newest first."""
        return self.filter(owner_id=user_id, deleted_at=None).order_by("-created_at", "-pk")

    def public(self) -> "VoiceQuerySet":
        """Keep what the community shows."""
        return self.living().filter(
            visibility=Voice.Visibility.PUBLIC, retired_at=None, state=Voice.State.TRAINED
        )

    def in_order(self, keys: list[int]) -> list["Voice"]:
        """Return the voices of these keys, in the order of the keys."""
        found = self.in_bulk(keys)
        return [found[key] for key in keys if key in found]

    def audible_for(self, user_id: int) -> "VoiceQuerySet":
        """Keep what the account may speak with: its own voices, and what is public or unlisted.

        A moderator's decision does not silence an account's own work; a voice that it adopted is another's.
        """
        own = Q(owner_id=user_id) & ~Q(kind=Voice.Kind.ADOPTED, is_hidden=True)
        return self.filter(deleted_at=None).filter(
            own | Q(is_hidden=False) & ~Q(visibility=Voice.Visibility.PRIVATE)
        )

    def of_fish(self, fish_ids: Iterable[str]) -> "VoiceQuerySet":
        """Keep every entry, whoever's, of these voices of Fish Audio."""
        entries = self.filter(engine=Voice.Engine.FISH, reference__has_key="id")
        return entries.annotate(fish_id=KT("reference__id")).filter(fish_id__in=list(fish_ids))


class Voice(models.Model):
    """A voice, whoever made it. `reference` is what its engine knows it by.

    Kokoro: `{"styles": [["ff_siwis", 0.7], ["af_heart", 0.3]], "language": "fr-fr"}`;
    Fish Audio: `{"id": "<32 hex>"}`.
    """

    class Engine(models.TextChoices):
        KOKORO = "kokoro", "Kokoro"
        FISH = "fish", "Fish Audio"

    class Kind(models.TextChoices):
        BUILT_IN = "built_in", _("intégrée")
        STARTER = "starter", _("de départ")
        BLEND = "blend", _("mélange")
        CLONE = "clone", _("clone")
        ADOPTED = "adopted", _("adoptée")
        MIRRORED = "mirrored", _("miroir")
        SEEDED = "seeded", _("générée")

    class State(models.TextChoices):
        CREATED = "created", _("créée")
        TRAINING = "training", _("en préparation")
        TRAINED = "trained", _("prête")
        FAILED = "failed", _("en échec")

    class Visibility(models.TextChoices):
        PRIVATE = "private", _("privée")
        UNLISTED = "unlist", _("non listée")
        PUBLIC = "public", _("publique")

    UNFINISHED = (State.CREATED, State.TRAINING)

    id = models.BigAutoField(primary_key=True)
    public_id = models.CharField(_("identifiant"), max_length=32, unique=True, default=new_voice_id)
    engine = models.CharField(_("moteur"), max_length=16, choices=Engine)
    reference = models.JSONField(_("référence du moteur"), default=dict)
    kind = models.CharField(_("genre"), max_length=16, choices=Kind)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="voices",
        verbose_name=_("propriétaire"),
    )
    state = models.CharField(_("état"), max_length=16, choices=State, default=State.TRAINED)
    # When Fish Audio was asked for this clone, then when it took it over.
    step_at = models.DateTimeField(null=True, editable=False)
    failure = models.CharField(_("raison de l’échec"), max_length=500, blank=True)
    visibility = models.CharField(
        _("visibilité"), max_length=16, choices=Visibility, default=Visibility.PRIVATE
    )

    title = models.CharField(_("titre"), max_length=200)
    description = models.TextField(_("description"), blank=True, max_length=5000)
    author_nickname = models.CharField(_("auteur"), max_length=100, blank=True)
    languages = ArrayField(
        models.CharField(max_length=16), default=list, blank=True, verbose_name=_("langues")
    )
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True, verbose_name=_("étiquettes"))
    cover_image = models.CharField(max_length=500, blank=True)
    sample_url = models.CharField(max_length=1000, blank=True)
    sample_text = models.TextField(blank=True, max_length=2000)
    like_count = models.PositiveIntegerField(_("mentions J’aime"), default=0)
    task_count = models.PositiveBigIntegerField(_("utilisations"), default=0)

    # voices.words.search_text of title, author, tags and languages, stored in the same write as they are.
    search_text = models.TextField(blank=True, editable=False)
    # What the mirror last saw, so that a second run over unchanged data writes nothing.
    source_digest = models.BinaryField(max_length=16, null=True, editable=False)

    is_hidden = models.BooleanField(_("masquée par la modération"), default=False)
    retired_at = models.DateTimeField(_("retirée le"), null=True, blank=True)
    deleted_at = models.DateTimeField(_("supprimée le"), null=True, blank=True)
    created_at = models.DateTimeField(_("créée le"), default=timezone.now)
    updated_at = models.DateTimeField(_("modifiée le"), default=timezone.now)

    objects = VoiceQuerySet.as_manager()

    class Meta:
        verbose_name = _("voix")
        verbose_name_plural = _("voix")
        constraints = [
            models.UniqueConstraint(fields=["owner"], condition=Q(kind="starter"), name="voice_one_starter"),
            models.CheckConstraint(
                condition=Q(public_id__regex=r"^[0-9a-f]{32}$"), name="voice_public_id_hex"
            ),
            # An account has one entry of a voice of Fish Audio; and one account has a clone.
            models.UniqueConstraint(
                KT("reference__id"),
                F("owner"),
                condition=Q(engine="fish", owner__isnull=False, deleted_at=None, reference__has_key="id"),
                name="voice_once_per_owner",
            ),
            models.UniqueConstraint(
                KT("reference__id"),
                condition=Q(kind="clone", reference__has_key="id"),
                name="voice_one_clone_upstream",
            ),
        ]
        indexes = [
            models.Index(
                fields=["owner", "-created_at"], name="voice_owner", condition=Q(owner__isnull=False)
            ),
            GinIndex(OpClass("search_text", "gin_trgm_ops"), name="voice_trigrams"),
            models.Index(F("id").desc(), name="voice_hidden", condition=Q(is_hidden=True)),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def sample_is_elsewhere(self) -> bool:
        """Say whether the sample has an address of another host that a browser can open."""
        return self.sample_url.startswith("https://")

    @property
    def is_local(self) -> bool:
        """Say whether FR02 speaks it itself, and so can let anyone hear how it sounds."""
        return self.engine == self.Engine.KOKORO


class Consent(models.Model):
    """The owner's recorded word that the voice may be cloned, or published. Kept as long as the clone lives."""

    class Purpose(models.TextChoices):
        CLONING = "cloning", _("clonage")
        PUBLICATION = "publication", _("publication")

    voice = models.ForeignKey(Voice, models.CASCADE, related_name="consents")
    purpose = models.CharField(_("objet"), max_length=16, choices=Purpose, default=Purpose.CLONING)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    statement = models.TextField(_("déclaration"))
    ip_address = models.GenericIPAddressField(_("adresse IP"), null=True)
    created_at = models.DateTimeField(_("donné le"), default=timezone.now)

    class Meta:
        verbose_name = _("consentement")
        constraints = [models.UniqueConstraint(fields=["voice", "purpose"], name="consent_once_per_purpose")]

    def __str__(self) -> str:
        return f"{self.get_purpose_display()} · {self.created_at:%d/%m/%Y}"


class Recording(models.Model):
    """One recording of which a clone is made; it goes, with its file, once the engine has taken it over."""

    voice = models.ForeignKey(Voice, models.CASCADE, related_name="recordings")
    name = models.CharField(max_length=200)
    duration_ms = models.PositiveIntegerField()
    text = models.TextField(blank=True, max_length=2000)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("enregistrement")

    def __str__(self) -> str:
        return self.name

    @property
    def audio_name(self) -> str:
        """The name of the cleaned file in the storage, under its account's prefix."""
        return f"{self.voice.owner_id}/recordings/{self.voice.public_id}/{self.pk}.flac"


class UpstreamSlot(models.Model):
    """One request in flight at Fish Audio: the platform's account may have so many at once, in all processes.

    A slot is a lease: its process extends it while it works; a process that was killed loses it when it expires.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.CharField(max_length=64)
    acquired_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.account} {self.id}"


class UpstreamDemand(models.Model):
    """When an account last asked for a slot and was refused one: what fairness between customers needs."""

    account = models.CharField(max_length=64, primary_key=True)
    asked_at = models.DateTimeField(db_index=True)
    refused_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.account


class UpstreamAlarm(models.Model):
    """Something that only the operator can put right at Fish Audio. At most one of a kind is open."""

    class Kind(models.TextChoices):
        UNAUTHORIZED = "unauthorized", _("clé Fish Audio refusée")
        OUT_OF_CREDIT = "out_of_credit", _("crédit Fish Audio épuisé")
        CONCURRENCY = "concurrency", _("limite de simultanéité Fish Audio dépassée")
        ERASURE = "erasure", _("effacement de clones en retard")
        MIRROR = "mirror", _("copie du catalogue Fish Audio interrompue")

    kind = models.CharField(_("genre"), max_length=16, choices=Kind)
    detail = models.CharField(_("détail"), max_length=500)
    count = models.PositiveBigIntegerField(_("occurrences"), default=1)
    first_at = models.DateTimeField(_("première fois"), default=timezone.now)
    last_at = models.DateTimeField(_("dernière fois"), default=timezone.now)
    resolved_at = models.DateTimeField(_("résolue le"), null=True, blank=True)

    class Meta:
        verbose_name = _("alarme du moteur en ligne")
        verbose_name_plural = _("alarmes du moteur en ligne")
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=Q(resolved_at=None), name="alarm_one_open_per_kind"
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()
