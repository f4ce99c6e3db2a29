"""The product: request, text, engines, audio, the one pipeline, its doors and the history."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class TtsConfig(AppConfig):
    name = "tts"
    verbose_name = _("Synthèse vocale")
