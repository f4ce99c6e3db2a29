"""The JSON doors of the community."""

from datetime import UTC
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from community.models import Report
from community.search import SORTS, Search, search_voices
from community.services import like_voice, report_voice, unlike_voice
from fr02.errors import VoiceNotFound
from fr02.json_body import StrictSerializer, TextField
from voices.api import account_of
from voices.models import Voice
from voices.services import find_public_voice


class SearchSerializer(serializers.Serializer[Any]):
    """Validate what is searched for. Accents, case and small typing errors do not matter."""

    search = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=200,
        help_text=_("Mots cherchés\u00a0; vide\u00a0: tout."),
    )
    page = serializers.IntegerField(
        required=False,
        default=1,
        min_value=1,
        max_value=1_000_000,
        help_text=_("Une recherche ou un filtre montre ses 20\u202f000 premières voix."),
    )
    page_size = serializers.IntegerField(required=False, default=20, min_value=1, max_value=100)
    language = serializers.CharField(required=False, allow_blank=True, default="", max_length=16)
    tag = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)
    sort_by = serializers.ChoiceField(choices=SORTS, required=False, default="popular")

    def to_search(self) -> Search:
        values = dict(self.validated_data)
        return Search(text=values.pop("search"), **values)


class ModelSerializer(serializers.ModelSerializer[Voice]):
    """Show a community voice; `fish_audio_id` is what `voice_id` takes."""

    fish_audio_id = serializers.CharField(source="public_id")
    sample_url = serializers.SerializerMethodField(
        help_text=_("Un extrait de la voix, vide s’il n’y en a pas.")
    )
    created_at = serializers.DateTimeField(default_timezone=UTC)

    class Meta:
        model = Voice
        fields = (
            "fish_audio_id",
            "title",
            "author_nickname",
            "description",
            "languages",
            "tags",
            "like_count",
            "task_count",
            "cover_image",
            "sample_url",
            "created_at",
        )

    def get_sample_url(self, voice: Voice) -> str:
        if voice.is_local:
            return settings.SITE_URL + reverse("voice-sample", args=[voice.public_id])
        return voice.sample_url


class ModelPageSerializer(serializers.Serializer[Any]):
    models = ModelSerializer(many=True)
    page = serializers.IntegerField()
    page_size = serializers.IntegerField()
    total = serializers.IntegerField()
    total_is_exact = serializers.BooleanField()
    has_more = serializers.BooleanField()


class LikeSerializer(serializers.Serializer[Any]):
    fish_audio_id = serializers.CharField()
    like_count = serializers.IntegerField()
    is_liked = serializers.BooleanField()


class ReportSerializer(StrictSerializer):
    reason = serializers.ChoiceField(choices=Report.Reason.choices)
    detail = TextField(required=False, allow_blank=True, default="", max_length=2_000)


class ModelList(APIView):
    @extend_schema(
        operation_id="community_models_list", parameters=[SearchSerializer], responses=ModelPageSerializer
    )
    def get(self, request: Request) -> Response:
        """Cherche parmi les voix de la communauté."""
        asked = SearchSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        search = asked.to_search()
        found = search_voices(search)
        return Response(
            {
                "models": ModelSerializer(Voice.objects.in_order(found.voice_ids), many=True).data,
                "page": search.page,
                "page_size": search.page_size,
                "total": found.total,
                "total_is_exact": found.is_total_exact,
                "has_more": found.has_more,
            }
        )


class ModelDetail(APIView):
    @extend_schema(operation_id="community_models_retrieve", responses=ModelSerializer)
    def get(self, request: Request, voice_id: str) -> Response:
        """Montre une voix de la communauté, même pas encore indexée."""
        voice = find_public_voice(voice_id=voice_id)
        if voice is None:
            raise VoiceNotFound()
        return Response(ModelSerializer(voice).data)


class ModelLike(APIView):
    @extend_schema(operation_id="community_models_like", request=None, responses=LikeSerializer)
    def put(self, request: Request, voice_id: str) -> Response:
        """Aime une voix."""
        voice = like_voice(user_id=account_of(request), voice_id=voice_id)
        return _liked(voice, is_liked=True)

    @extend_schema(operation_id="community_models_unlike", request=None, responses={200: LikeSerializer})
    def delete(self, request: Request, voice_id: str) -> Response:
        """N’aime plus une voix."""
        voice = unlike_voice(user_id=account_of(request), voice_id=voice_id)
        return _liked(voice, is_liked=False)


class ModelReport(APIView):
    @extend_schema(
        operation_id="community_models_report", request=ReportSerializer, responses={201: ReportSerializer}
    )
    def post(self, request: Request, voice_id: str) -> Response:
        """Signale une voix à la modération."""
        given = ReportSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        report = report_voice(user_id=account_of(request), voice_id=voice_id, **given.validated_data)
        return Response({"reason": report.reason, "detail": report.detail}, status=status.HTTP_201_CREATED)


def _liked(voice: Voice, *, is_liked: bool) -> Response:
    return Response({"fish_audio_id": voice.public_id, "like_count": voice.like_count, "is_liked": is_liked})
