"""The addresses of community."""

from django.urls import path, re_path

from community import api, publishing, views

_MODEL = r"^api/v1/community/models/(?P<voice_id>[0-9A-Za-z_-]{1,64})"

urlpatterns = [
    re_path(r"^api/v1/community/models/?$", api.ModelList.as_view(), name="community-model-list"),
    re_path(_MODEL + "/?$", api.ModelDetail.as_view(), name="community-model-detail"),
    re_path(_MODEL + "/like/?$", api.ModelLike.as_view(), name="community-model-like"),
    re_path(_MODEL + "/report/?$", api.ModelReport.as_view(), name="community-model-report"),
    re_path(
        r"^api/v1/voices/(?P<voice_id>[0-9A-Za-z_-]{1,64})/publish/?$",
        publishing.VoicePublication.as_view(),
        name="voice-publication",
    ),
    path("voix/<slug:voice_id>/publier", publishing.toggle, name="voice-publish"),
    path("communaute/", views.list_voices, name="community-list"),
    path("communaute/<slug:voice_id>/aimer/", views.toggle_like, name="community-like"),
    path("communaute/<slug:voice_id>/signaler/", views.report, name="community-report"),
]
