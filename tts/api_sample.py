"""`GET /api/v1/community/models/{id}/sample`: hear a local voice of the community, without a key and free of charge."""

from http import HTTPStatus
from typing import Any

from django.core.files.storage import storages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.views import APIView

from accounts.authentication import client_ip
from fr02 import errors
from fr02.bridge import in_database
from fr02.per_minute import count_in_minute
from tts import samples
from voices.models import Voice

PER_MINUTE = 20


class VoiceSampleView(APIView):
    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="community_models_sample",
        summary="Écouter une voix locale de la communauté",
        auth=[],
        responses={302: OpenApiResponse(description="L’adresse signée d’un MP3, dans `Location`.")},
    )
    async def get(self, request: HttpRequest, voice_id: str) -> HttpResponseBase:
        voice = await in_database(_find, voice_id)
        name = samples.sample_name(voice.reference)
        if not await samples.is_made(name):
            listener = client_ip(request) or ""
            detail = _("Au plus {count} nouveaux extraits par minute.").format(count=PER_MINUTE)
            count_in_minute(listener, name="samples", limit=PER_MINUTE, detail=detail)
            await samples.make_sample(voice.reference, account=f"sample:{listener}")
        response = HttpResponseRedirect(storages["default"].url(name), status=HTTPStatus.FOUND)
        response["Cache-Control"] = "private, no-store"
        return response

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        try:
            if request.method in ("GET", "HEAD"):
                return await self.get(request, *args, **kwargs)
            raise errors.only("GET")
        except errors.Fr02Error as error:
            return errors.problem_response(error, request)


def _find(voice_id: str) -> Voice:
    """Return a local voice that the community shows. Raises VoiceNotFound for all others alike."""
    voice = Voice.objects.public().filter(public_id=voice_id, engine=Voice.Engine.KOKORO).first()
    if voice is None:
        raise errors.VoiceNotFound()
    return voice
