"""The JSON doors of private voices."""

from datetime import UTC
from typing import Any

from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import client_ip
from fr02.errors import VoiceNotFound
from fr02.json_body import StrictJSONParser, StrictSerializer, TextField
from voices.adoption import adopt_voice
from voices.blending import DEFAULT_LANGUAGE, MAX_PARTS, MAX_WEIGHT, SPEECH_OF, Part, create_blend
from voices.cloning import CloneOrder, check_available, clone_voice
from voices.consent import ConsentGiven
from voices.editing import clean_fields, delete_voice, update_voice
from voices.models import Voice
from voices.services import ensure_starter_voice
from voices.uploads import check_length

# What an owner may choose; publishing is a door of its own.
OWNERS_VISIBILITIES = (Voice.Visibility.PRIVATE.value, Voice.Visibility.UNLISTED.value)


def account_of(request: Request) -> int:
    """Return the key of the account that a REST request speaks for."""
    assert request.user.pk is not None
    return request.user.pk


class VoiceSerializer(serializers.ModelSerializer[Voice]):
    """Show one of the account's voices; `fish_audio_model_id` is what `voice_id` takes."""

    fish_audio_model_id = serializers.CharField(source="public_id")
    preview_url = serializers.CharField(source="sample_url")
    created_at = serializers.DateTimeField(default_timezone=UTC)

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
            "failure",
            "preview_url",
            "created_at",
        )


class VoiceListSerializer(serializers.Serializer[Any]):
    voices = VoiceSerializer(many=True)


@extend_schema_field({"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": MAX_WEIGHT})
class WeightField(serializers.FloatField):
    """A number; its bounds are checked with the whole blend."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, str | bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class PartSerializer(StrictSerializer):
    voice_id = TextField(max_length=64)
    weight = WeightField(default=1.0)


class DescribedSerializer(StrictSerializer):
    title = TextField(max_length=200)
    description = TextField(max_length=5_000, required=False, allow_blank=True, default="")
    tags = serializers.ListField(child=TextField(max_length=64), required=False, default=list)
    visibility = serializers.ChoiceField(choices=OWNERS_VISIBILITIES, required=False, default="private")


class BlendSerializer(DescribedSerializer):
    blend = PartSerializer(many=True, allow_empty=False, max_length=MAX_PARTS)  # type: ignore[call-arg]
    language = serializers.ChoiceField(sorted(SPEECH_OF), required=False, default=DEFAULT_LANGUAGE)

    def validate_blend(self, value: list[dict[str, Any]]) -> list[Part]:
        return [Part(**item) for item in value]


class CloneSerializer(DescribedSerializer):
    """Take a voice to clone: 1 to 20 recordings, the words of each as far as known, and the consent."""

    voices = serializers.ListField(child=serializers.FileField(allow_empty_file=True), allow_empty=False)
    texts = serializers.ListField(
        child=TextField(max_length=2_000, allow_blank=True), required=False, default=list
    )
    consent = serializers.BooleanField(
        help_text=gettext_lazy("Vrai : la personne qui parle est vous, ou vous l’a permis par écrit.")
    )


class ChangesSerializer(StrictSerializer):
    title = TextField(max_length=200, required=False)
    description = TextField(max_length=5_000, required=False, allow_blank=True)
    tags = serializers.ListField(child=TextField(max_length=64), required=False)
    visibility = serializers.ChoiceField(choices=OWNERS_VISIBILITIES, required=False)
    consent = serializers.BooleanField(
        required=False,
        help_text=gettext_lazy("Requis pour partager un clone\u00a0: la personne qui parle le permet."),
    )


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]{32}$"})
class FishIdField(TextField):
    """An id at Fish Audio; its form is checked where it is looked up."""


class AdoptionSerializer(StrictSerializer):
    fish_audio_id = FishIdField(max_length=64)


class VoiceList(APIView):
    parser_classes = [StrictJSONParser, MultiPartParser]

    @extend_schema(operation_id="voices_list", responses=VoiceListSerializer)
    def get(self, request: Request) -> Response:
        """Liste vos voix privées, la plus récente d’abord."""
        user_id = account_of(request)
        ensure_starter_voice(user_id=user_id)
        voices = Voice.objects.private_of(user_id)
        return Response({"voices": VoiceSerializer(voices, many=True).data})

    @extend_schema(
        operation_id="voices_create",
        request={"multipart/form-data": CloneSerializer, "application/json": BlendSerializer},
        responses={201: VoiceSerializer},
    )
    def post(self, request: Request) -> Response:
        """Clone une voix (multipart) ou mélange des voix locales (JSON)."""
        is_clone = request.content_type.startswith("multipart/")
        voice = _clone(request) if is_clone else _blend(request)
        return Response(VoiceSerializer(voice).data, status=status.HTTP_201_CREATED)


class VoiceDetail(APIView):
    @extend_schema(operation_id="voices_retrieve", responses=VoiceSerializer)
    def get(self, request: Request, voice_id: str) -> Response:
        """Montre une de vos voix."""
        voice = Voice.objects.private_of(account_of(request)).filter(public_id=voice_id).first()
        if voice is None:
            raise VoiceNotFound()
        return Response(VoiceSerializer(voice).data)

    @extend_schema(operation_id="voices_update", request=ChangesSerializer, responses=VoiceSerializer)
    def patch(self, request: Request, voice_id: str) -> Response:
        """Change le titre, la description, les étiquettes ou la visibilité d’une de vos voix."""
        given = ChangesSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        changes = dict(given.validated_data)
        consent = ConsentGiven(changes.pop("consent", False), client_ip(request))
        voice = update_voice(user_id=account_of(request), voice_id=voice_id, changes=changes, consent=consent)
        return Response(VoiceSerializer(voice).data)

    @extend_schema(operation_id="voices_delete", responses={204: None})
    def delete(self, request: Request, voice_id: str) -> Response:
        """Supprime une de vos voix, chez Fish Audio aussi si c’est un clone."""
        delete_voice(user_id=account_of(request), voice_id=voice_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class VoiceAdoption(APIView):
    @extend_schema(operation_id="voices_adopt", request=AdoptionSerializer, responses=VoiceSerializer)
    def post(self, request: Request) -> Response:
        """Ajoute à vos voix une voix faite chez Fish Audio, par son identifiant."""
        given = AdoptionSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        voice = adopt_voice(user_id=account_of(request), **given.validated_data)
        return Response(VoiceSerializer(voice).data)


def _blend(request: Request) -> Voice:
    given = BlendSerializer(data=request.data)
    given.is_valid(raise_exception=True)
    values = given.validated_data
    parts, language = values.pop("blend"), values.pop("language")
    return create_blend(
        user_id=account_of(request), fields=clean_fields(**values), parts=parts, language=language
    )


def _clone(request: Request) -> Voice:
    """Clone from a form. Nothing of the body is read before it is known that it may be worth it."""
    check_available()
    check_length(request.META)
    given = CloneSerializer(data=_form(request))
    given.is_valid(raise_exception=True)
    values = given.validated_data
    files, texts, has_consent = values.pop("voices"), values.pop("texts"), values.pop("consent")
    order = CloneOrder(
        fields=clean_fields(**values),
        files=files,
        texts=texts,
        has_consent=has_consent,
        ip_address=client_ip(request),
    )
    return clone_voice(user_id=account_of(request), order=order)


def _form(request: Request) -> dict[str, Any]:
    """Return a form as its serializer reads it: lists may be called `voices` or `voices[]`."""
    values: dict[str, Any] = {}
    given: Any = request.data
    for name in given:
        bare = name.removesuffix("[]")
        is_list = bare in ("voices", "texts", "tags")
        values[bare if is_list else name] = given.getlist(name) if is_list else given[name]
    return {"consent": "false"} | values
