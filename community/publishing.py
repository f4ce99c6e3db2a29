"""The doors of publishing, JSON and HTML: an owner shows a voice to the community, or takes it back."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import client_ip
from community.services import publish_voice, unpublish_voice
from fr02.errors import Fr02Error
from fr02.json_body import StrictSerializer, TextField
from voices.api import VoiceSerializer, account_of
from voices.consent import ConsentGiven, check_publication_consent
from voices.models import Voice


class PublicationSerializer(StrictSerializer):
    """Say under which name a voice is shown; a clone needs the consent of whoever speaks."""

    author_nickname = TextField(required=False, allow_blank=True, default="", max_length=100)
    consent = serializers.BooleanField(
        required=False,
        default=False,
        help_text=gettext_lazy("Requis pour un clone\u00a0: la personne qui parle permet sa publication."),
    )


class VoicePublication(APIView):
    @extend_schema(operation_id="voices_publish", request=PublicationSerializer, responses=VoiceSerializer)
    def post(self, request: Request, voice_id: str) -> Response:
        """Publie une de vos voix dans la communauté."""
        given = PublicationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        voice = publish(
            user_id=account_of(request),
            voice_id=voice_id,
            author_nickname=given.validated_data["author_nickname"],
            has_consent=given.validated_data["consent"],
            ip_address=client_ip(request),
        )
        return Response(VoiceSerializer(voice).data)

    @extend_schema(operation_id="voices_unpublish", request=None, responses={200: VoiceSerializer})
    def delete(self, request: Request, voice_id: str) -> Response:
        """Retire une de vos voix de la communauté."""
        voice = unpublish_voice(user_id=account_of(request), voice_id=voice_id)
        return Response(VoiceSerializer(voice).data)


@transaction.atomic
def publish(
    *, user_id: int, voice_id: str, author_nickname: str, has_consent: bool, ip_address: str | None
) -> Voice:
    """Publish an own voice; for a clone, record the consent to that first.

    Raises InvalidRequest without consent, and what `publish_voice` raises.
    """
    voice = publish_voice(user_id=user_id, voice_id=voice_id, author_nickname=author_nickname)
    given = ConsentGiven(has_consent, ip_address)
    check_publication_consent(voice, user_id=user_id, given=given)
    return voice


@login_required
@require_POST
def toggle(request: HttpRequest, voice_id: str) -> HttpResponse:
    """Publish a voice from the portal, or take it back, by the form's `is_public`."""
    user_id = request.user.pk
    assert user_id is not None
    try:
        if request.POST.get("is_public") == "True":
            publish(
                user_id=user_id,
                voice_id=voice_id,
                author_nickname=request.POST.get("author_nickname", "")[:100],
                has_consent=request.POST.get("consent") == "true",
                ip_address=client_ip(request),
            )
            messages.success(request, _("La voix est publiée dans la communauté."))
        else:
            unpublish_voice(user_id=user_id, voice_id=voice_id)
            messages.success(request, _("La voix n’est plus publique."))
    except Fr02Error as refusal:
        if refusal.status == 404:
            raise
        messages.error(request, refusal.detail)
    return redirect("voices-list")
