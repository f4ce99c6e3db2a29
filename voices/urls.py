"""The addresses of voices."""

from django.urls import path, re_path

from voices import api, views

urlpatterns = [
    re_path(r"^api/v1/voices/?$", api.VoiceList.as_view(), name="voice-list"),
    re_path(r"^api/v1/voices/adopt/?$", api.VoiceAdoption.as_view(), name="voice-adoption"),
    re_path(
        r"^api/v1/voices/(?P<voice_id>[0-9A-Za-z_-]{1,64})/?$", api.VoiceDetail.as_view(), name="voice-detail"
    ),
    path("voix/", views.list_voices, name="voices-list"),
    path("voix/cloner", views.clone, name="voice-clone"),
    path("voix/melanger", views.blend, name="voice-blend"),
    path("voix/adopter", views.adopt, name="voice-adopt"),
    path("voix/<slug:voice_id>/carte", views.show_card, name="voice-card"),
    path("voix/<slug:voice_id>/modifier", views.edit, name="voice-edit"),
    path("voix/<slug:voice_id>/supprimer", views.delete, name="voice-delete"),
]
