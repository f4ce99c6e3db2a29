"""The addresses of voices."""

from django.urls import re_path

from voices import api

urlpatterns = [
    re_path(r"^api/v1/voices/?$", api.VoiceList.as_view(), name="voice-list"),
    re_path(
        r"^api/v1/voices/(?P<voice_id>[0-9A-Za-z_-]{1,64})/?$", api.VoiceDetail.as_view(), name="voice-detail"
    ),
]
