"""Generations for operators: to read, never to write."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from tts.models import Generation


@admin.register(Generation)
class GenerationAdmin(ModelAdmin):
    list_display = [
        "created_at",
        "user",
        "voice_title",
        "engine",
        "source",
        "status",
        "characters",
        "cost_micros",
        "duration_ms",
    ]
    list_filter = ["status", "engine", "source", "format", "created_at"]
    search_fields = ["=id", "user__email", "voice_title"]
    list_select_related = ["user"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    # What customers had spoken is theirs: operators see how it went, not what was said.
    exclude = ["text", "segments", "response", "fingerprint", "idempotency_key"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Generation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Generation | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Generation]:
        return super().get_queryset(request).defer("text", "segments", "response")
