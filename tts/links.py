"""Addresses of stored audio, made anew for each answer and never kept."""

from datetime import datetime, timedelta

from django.conf import settings
from django.core.files.storage import storages
from django.utils import timezone

from tts.models import Generation


def audio_link(generation: Generation) -> tuple[str | None, datetime | None]:
    """Return a signed link to the audio and when it expires; (None, None) where there is no audio."""
    if not generation.audio_name:
        return None, None
    expires_at = timezone.now() + timedelta(seconds=settings.AUDIO_LINK_SECONDS)
    return storages["default"].url(generation.audio_name), expires_at
