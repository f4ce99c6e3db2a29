"""The JSON doors of private voices."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fr02.errors import VoiceNotFound
from voices.models import Voice
from voices.services import ensure_starter_voice


def account_of(request: Request) -> int:
    """Return the key of the account that a REST request speaks for."""
    assert request.user.pk is not None
    return request.user.pk


class VoiceSerializer(serializers.ModelSerializer[Voice]):
    """Show one of the account's voices; `fish_audio_model_id` is what `voice_id` takes."""

    fish_audio_model_id = serializers.CharField(source="public_id")
    preview_url = serializers.CharField(source="sample_url")

    class Meta:
        model = Voice
        fields = (
            "fish_audio_model_id",
            "title",
            "description",
            "languages",
            "tags",
            "state",
            "visibility",
            "engine",
            "preview_url",
            "created_at",
        )


class VoiceListSerializer(serializers.Serializer[Any]):
    voices = VoiceSerializer(many=True)


class VoiceList(APIView):
    @extend_schema(operation_id="voices_list", responses=VoiceListSerializer)
    def get(self, request: Request) -> Response:
        """Liste vos voix privées, la plus récente d’abord."""
        ensure_starter_voice(user_id=account_of(request))
        voices = Voice.objects.private_of(account_of(request))
        return Response({"voices": VoiceSerializer(voices, many=True).data})


class VoiceDetail(APIView):
    @extend_schema(operation_id="voices_retrieve", responses=VoiceSerializer)
    def get(self, request: Request, voice_id: str) -> Response:
        """Montre une de vos voix."""
        voice = Voice.objects.private_of(account_of(request)).filter(public_id=voice_id).first()
        if voice is None:
            raise VoiceNotFound()
        return Response(VoiceSerializer(voice).data)
