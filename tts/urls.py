"""The addresses of speech, with and without their trailing slash."""

from django.urls import re_path

from tts import api, api_preview, api_sample

UUID = r"(?P<generation_id>[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12})"

urlpatterns = [
    re_path(r"^api/v1/tts/?$", api.SpeechView.as_view(), name="speech"),
    re_path(r"^api/v1/tts/quote/?$", api.QuoteView.as_view(), name="quote"),
    re_path(r"^api/v1/tts/blend-preview/?$", api_preview.BlendPreviewView.as_view(), name="blend-preview"),
    re_path(
        r"^api/v1/community/models/(?P<voice_id>[0-9A-Za-z_-]{1,64})/sample/?$",
        api_sample.VoiceSampleView.as_view(),
        name="voice-sample",
    ),
    re_path(r"^api/v1/tts/stream-token/?$", api.StreamTokenView.as_view(), name="stream-token"),
    re_path(r"^api/v1/tts/history/?$", api.HistoryView.as_view(), name="history"),
    re_path(rf"^api/v1/tts/history/{UUID}/?$", api.HistoryItemView.as_view(), name="history-item"),
    re_path(
        rf"^api/v1/tts/history/{UUID}/subtitles\.(?P<kind>srt|vtt)/?$",
        api.SubtitlesView.as_view(),
        name="subtitles",
    ),
]
