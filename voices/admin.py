"""The upstream's alarms, shown to operators on every page until they are over. Voices themselves: `community.admin`."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from voices.models import UpstreamAlarm

REMEDIES = {
    UpstreamAlarm.Kind.UNAUTHORIZED: _("Vérifiez FISH_API_KEY et FISH_BASE_URL."),
    UpstreamAlarm.Kind.OUT_OF_CREDIT: _("Rechargez le portefeuille API chez Fish Audio."),
    UpstreamAlarm.Kind.CONCURRENCY: _("Vérifiez FISH_CONCURRENCY et la limite du compte Fish Audio."),
    UpstreamAlarm.Kind.ERASURE: _("Regardez les tâches voices.tasks.erase_clone et le stockage."),
    UpstreamAlarm.Kind.MIRROR: _("Elle reprend d’elle-même la nuit, et par manage.py sync_community."),
}


@admin.register(UpstreamAlarm)
class UpstreamAlarmAdmin(ModelAdmin):
    list_display = ["kind", "detail", "count", "first_at", "last_at", "resolved_at"]
    list_filter = ["kind"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: UpstreamAlarm | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: UpstreamAlarm | None = None) -> bool:
        return False


def alarm_badge(request: HttpRequest) -> list[str] | None:
    """Return the badge that the head of every admin page shows: text and colour, or None when all is well."""
    alarm = UpstreamAlarm.objects.filter(resolved_at=None).first() if _is_operator(request) else None
    return [str(alarm), "danger"] if alarm else None


def show_alarms(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the open alarms to the admin's first page, each with what to do about it."""
    alarms = UpstreamAlarm.objects.filter(resolved_at=None)
    return context | {
        "alarms": [
            f"{alarm} ({alarm.detail}). {REMEDIES[UpstreamAlarm.Kind(alarm.kind)]}" for alarm in alarms
        ]
    }


def _is_operator(request: HttpRequest) -> bool:
    return request.user.is_authenticated and request.user.is_staff
