"""Voices and reports for moderators.

The admin of voices is here and not in `voices`, because hiding a voice settles the reports about it.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display

from community import services
from community.models import Report, SyncRun
from voices.models import Voice
from voices.words import words

MOST_COUNTED = 5_000
SHORTEST_WORD = 3


class CappedPaginator(Paginator):
    """Count up to a limit: nobody leafs through a million voices, and counting them takes long."""

    @cached_property
    def count(self) -> int:
        found: Any = self.object_list
        return found.order_by()[: MOST_COUNTED + 1].count()


@admin.register(Voice)
class VoiceAdmin(ModelAdmin):
    list_display = [
        "title", "author_nickname", "kind", "engine", "visibility", "state", "shown_moderation", "owner",
        "like_count", "task_count", "created_at",
    ]  # fmt: skip
    list_filter = ["is_hidden", "kind", "engine", "visibility", "state"]
    list_select_related = ["owner"]
    ordering = ["-pk"]
    sortable_by: list[str] = []
    paginator = CappedPaginator
    show_full_result_count = False
    search_fields = ["search_text"]
    search_help_text = _(
        "Mots du titre, de l’auteur, des étiquettes\u00a0; identifiant\u00a0; e-mail du propriétaire."
    )
    actions = ["hide", "unhide"]
    fields = readonly_fields = [
        "public_id", "title", "description", "author_nickname", "languages", "tags", "kind", "engine",
        "reference",
        "owner", "state", "failure", "visibility", "is_hidden", "retired_at", "deleted_at", "like_count",
        "task_count", "created_at", "updated_at",
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Voice | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Voice], search_term: str
    ) -> tuple[QuerySet[Voice], bool]:
        """Search by what an index answers: the trigrams of `search_text`, an id, an owner."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if "@" in term:
            return queryset.filter(owner__email__iexact=term), False
        if len(term) == 32 and not term.strip("0123456789abcdefABCDEF"):
            return queryset.filter(public_id=term.lower()), False
        long_words = [word for word in words(term) if len(word) >= SHORTEST_WORD]
        for word in long_words:
            queryset = queryset.filter(search_text__contains=word)
        return (queryset if long_words else queryset.none()), False

    @display(description=_("modération"), label={_("Masquée"): "danger", _("Visible"): "success"})
    def shown_moderation(self, voice: Voice) -> Any:
        return _("Masquée") if voice.is_hidden else _("Visible")

    @admin.action(description=_("Masquer les voix choisies"), permissions=["change"])
    def hide(self, request: HttpRequest, queryset: QuerySet[Voice]) -> None:
        keys = list(queryset.values_list("pk", flat=True))
        count = services.hide_voices(voice_keys=keys, moderator_id=_moderator(request))
        _log(request, keys, _("Masquée"))
        self.message_user(
            request, ngettext("{count} voix masquée.", "{count} voix masquées.", count).format(count=count)
        )

    @admin.action(description=_("Montrer de nouveau les voix choisies"), permissions=["change"])
    def unhide(self, request: HttpRequest, queryset: QuerySet[Voice]) -> None:
        keys = list(queryset.values_list("pk", flat=True))
        count = services.unhide_voices(voice_keys=keys)
        _log(request, keys, _("Montrée de nouveau"))
        self.message_user(
            request,
            ngettext("{count} voix de nouveau visible.", "{count} voix de nouveau visibles.", count).format(
                count=count
            ),
        )


@admin.register(Report)
class ReportAdmin(ModelAdmin):
    list_display = [
        "created_at", "shown_voice", "reason", "shown_detail", "user", "shown_outcome", "moderator",
    ]  # fmt: skip
    list_filter = [("resolved_at", admin.EmptyFieldListFilter), "reason", "outcome"]
    list_select_related = ["voice", "user", "moderator"]
    search_fields = ["voice__public_id", "user__email"]
    show_full_result_count = False
    paginator = CappedPaginator
    actions = ["hide_voice", "dismiss"]
    fields = readonly_fields = [
        "shown_voice", "reason", "detail", "user", "created_at", "outcome", "resolved_at", "moderator",
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Report | None = None) -> bool:
        return False

    @display(description=_("voix"))
    def shown_voice(self, report: Report) -> str:
        address = reverse("admin:voices_voice_change", args=[report.voice_id])
        return format_html('<a href="{}">{}</a>', address, report.voice.title)

    @display(description=_("précisions"))
    def shown_detail(self, report: Report) -> str:
        return report.detail if len(report.detail) <= 80 else f"{report.detail[:79]}…"

    @display(
        description=_("suite donnée"),
        label={_("À traiter"): "warning", _("Voix masquée"): "danger", _("Écarté"): "success"},
    )
    def shown_outcome(self, report: Report) -> Any:
        outcomes = {Report.Outcome.HIDDEN: _("Voix masquée"), Report.Outcome.DISMISSED: _("Écarté")}
        return outcomes.get(Report.Outcome(report.outcome)) if report.outcome else _("À traiter")

    @admin.action(description=_("Masquer les voix signalées"), permissions=["change"])
    def hide_voice(self, request: HttpRequest, queryset: QuerySet[Report]) -> None:
        keys = list(queryset.values_list("voice_id", flat=True))
        count = services.hide_voices(voice_keys=keys, moderator_id=_moderator(request))
        _log(request, keys, _("Masquée après un signalement"))
        self.message_user(
            request, ngettext("{count} voix masquée.", "{count} voix masquées.", count).format(count=count)
        )

    @admin.action(description=_("Écarter les signalements choisis"), permissions=["change"])
    def dismiss(self, request: HttpRequest, queryset: QuerySet[Report]) -> None:
        keys = list(queryset.values_list("pk", flat=True))
        count = services.dismiss_reports(report_keys=keys, moderator_id=_moderator(request))
        self.message_user(
            request,
            ngettext("{count} signalement écarté.", "{count} signalements écartés.", count).format(
                count=count
            ),
        )


@admin.register(SyncRun)
class SyncRunAdmin(ModelAdmin):
    list_display = [
        "started_at", "finished_at", "request_count", "created_count", "changed_count", "retired_count",
        "skipped_count",
    ]  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: SyncRun | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SyncRun | None = None) -> bool:
        return False


def _moderator(request: HttpRequest) -> int:
    assert request.user.pk is not None
    return request.user.pk


def _log(request: HttpRequest, voice_keys: list[int], message: Any) -> None:
    """Note in each voice's history who decided what."""
    LogEntry.objects.log_actions(
        _moderator(request), Voice.objects.filter(pk__in=voice_keys), CHANGE, str(message)
    )
