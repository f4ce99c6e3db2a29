"""The public side of voices: the search index, likes, reports, and where the mirror of Fish Audio stands."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from voices.models import Voice

# The top tier holds the most popular 1/64 of the voices; with each one below, twice as many are covered. Tier 0 is
# the less popular half.
TOP_TIER = 6
TIER_SHARES = (1 / 64, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
# The bands of tiers (from, up to but not) whose parts of words are indexed too, and their shares.
PART_BANDS = ((4, TOP_TIER + 1, 1 / 16), (2, 4, 3 / 16))
# The words and marks of `search_text`, as PostgreSQL's inverted index knows them. It is indexed, not stored.
LEXEMES = "array_to_tsvector(string_to_array(search_text, ' '))"
_LEXEMES = Func(Func(F("search_text"), Value(" "), function="string_to_array"), function="array_to_tsvector")


class Listing(models.Model):
    """A voice that the community shows: one narrow row per public voice, so that searching touches few pages.

    Written by triggers on `voices_voice` only (migration 0002): whoever changes a voice, by whatever way,
    cannot forget it. Each tier has an index of its own, so that a common word is answered from the small top of
    the catalogue (community.search).
    """

    voice = models.OneToOneField(Voice, models.CASCADE, primary_key=True, related_name="listing")
    # Use count and key in one number, `task_count * 2**32 + voice_id`: one order without ties, and one
    # eight-byte column to sort by. That halves the time of a deep page.
    popularity = models.BigIntegerField()
    like_count = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    tier = models.SmallIntegerField(default=0)
    # Last: columns behind one of varying length are slower to reach.
    search_text = models.TextField()

    class Meta:
        indexes = [
            models.Index(F("popularity").desc(), name="listing_popular"),
            models.Index(F("like_count").desc(), F("voice").desc(), name="listing_likes"),
            models.Index(F("created_at").desc(), F("voice").desc(), name="listing_recent"),
            *(
                GinIndex(_LEXEMES, name=f"listing_words_in_{tier}", condition=Q(tier=tier))
                for tier in range(TOP_TIER + 1)
            ),
            *(
                GinIndex(
                    OpClass("search_text", "gin_trgm_ops"),
                    name=f"listing_parts_in_{low}",
                    condition=Q(tier__gte=low, tier__lt=high),
                )
                for low, high, _share in PART_BANDS
            ),
        ]

    def __str__(self) -> str:
        return self.search_text


class Tier(models.Model):
    """The least popular voice that still belongs to a tier: its limit, drawn by community.index."""

    level = models.SmallIntegerField(primary_key=True)
    popularity = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.level)


class Word(models.Model):
    """A word of the index, for correcting the spelling of a search that found nothing."""

    word = models.CharField(max_length=64, primary_key=True)
    frequency = models.PositiveIntegerField(default=1)

    class Meta:
        indexes = [GinIndex(OpClass("word", "gin_trgm_ops"), name="word_trigrams")]

    def __str__(self) -> str:
        return self.word


class Like(models.Model):
    """An account likes a voice, once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="voice_likes")
    voice = models.ForeignKey(Voice, models.CASCADE, related_name="likes")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "voice"], name="like_once")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.voice_id}"


class Report(models.Model):
    """An account says that a voice should not be here; a moderator hides it or dismisses the report."""

    class Reason(models.TextChoices):
        IMPERSONATION = "impersonation", _("usurpation de voix")
        COPYRIGHT = "copyright", _("droits d’auteur")
        OFFENSIVE = "offensive", _("contenu choquant")
        SPAM = "spam", _("publicité ou contenu trompeur")
        OTHER = "other", _("autre")

    class Outcome(models.TextChoices):
        HIDDEN = "hidden", _("voix masquée")
        DISMISSED = "dismissed", _("signalement écarté")

    voice = models.ForeignKey(Voice, models.CASCADE, related_name="reports", verbose_name=_("voix"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("signalée par")
    )
    reason = models.CharField(_("motif"), max_length=16, choices=Reason)
    detail = models.TextField(_("précisions"), blank=True, max_length=2000)
    created_at = models.DateTimeField(_("reçu le"), default=timezone.now)
    outcome = models.CharField(_("suite donnée"), max_length=16, choices=Outcome, blank=True)
    resolved_at = models.DateTimeField(_("traité le"), null=True, blank=True)
    moderator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("modérateur"),
    )

    class Meta:
        verbose_name = _("signalement")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "voice"], condition=Q(resolved_at=None), name="report_one_open_per_user"
            ),
            models.CheckConstraint(
                condition=Q(outcome="", resolved_at=None) | (~Q(outcome="") & Q(resolved_at__isnull=False)),
                name="report_resolved_with_outcome",
            ),
        ]
        indexes = [models.Index(F("created_at").desc(), F("id").desc(), name="report_recent")]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} · {self.created_at:%d/%m/%Y}"


class SyncRun(models.Model):
    """One mirroring of Fish Audio's whole catalogue, from its first query to the retiring of what is gone."""

    started_at = models.DateTimeField(_("commencé le"), default=timezone.now)
    finished_at = models.DateTimeField(_("fini le"), null=True)
    is_narrowed = models.BooleanField(default=False)
    # The last voice that was asked for by its id because no page showed it; the next run goes on behind it.
    checked_key = models.BigIntegerField(default=0)
    request_count = models.PositiveIntegerField(_("requêtes"), default=0)
    created_count = models.PositiveIntegerField(_("nouvelles"), default=0)
    changed_count = models.PositiveIntegerField(_("modifiées"), default=0)
    retired_count = models.PositiveIntegerField(_("retirées"), default=0)
    skipped_count = models.PositiveIntegerField(_("illisibles ou non publiques"), default=0)

    class Meta:
        verbose_name = _("synchronisation")
        constraints = [
            models.UniqueConstraint(Value(1), condition=Q(finished_at=None), name="sync_one_open_run"),
        ]

    def __str__(self) -> str:
        return f"{self.started_at:%d/%m/%Y %H:%M}"


class SyncQuery(models.Model):
    """One narrow query of a run: `next_page` is the cursor, in the same transaction as what its pages
    brought.
    """

    run = models.ForeignKey(SyncRun, models.CASCADE, related_name="queries")
    language = models.CharField(max_length=16, blank=True)
    tag = models.CharField(max_length=64, blank=True)
    sort_by = models.CharField(max_length=16)
    title = models.CharField(max_length=40, blank=True)
    next_page = models.PositiveIntegerField(default=1)
    is_limited = models.BooleanField(default=False)
    is_done = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "language", "tag", "sort_by", "title"], name="sync_query_once"
            ),
        ]
        indexes = [models.Index(fields=["run", "id"], name="sync_query_open", condition=Q(is_done=False))]

    def __str__(self) -> str:
        return " · ".join(filter(None, [self.language, self.tag, self.title, self.sort_by]))


class SyncPage(models.Model):
    """The voices that one page showed, to know at the end of a run which ones no page showed."""

    query = models.ForeignKey(SyncQuery, models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()
    fish_ids = ArrayField(models.CharField(max_length=32))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["query", "number"], name="sync_page_once")]

    def __str__(self) -> str:
        return f"{self.query_id} · {self.number}"
