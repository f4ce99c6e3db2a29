"""`POST /api/v1/tts/blend-preview`: hear a blend before it is saved.

One fixed short sentence, spoken by the local engine, free of charge: nothing is held, debited or kept. It cannot say
anything else, so it replaces no synthesis, and each account hears twenty a minute at most in each process.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.views import APIView

from accounts.authentication import authenticate
from accounts.services import Caller
from fr02 import errors
from fr02.bridge import in_database
from fr02.json_body import StrictSerializer, read_json
from fr02.per_minute import count_in_minute
from tts import samples
from tts.engines.base import EngineError, EngineOrder
from tts.engines.registry import engine_named
from tts.pipeline import translate
from voices.api import PartSerializer
from voices.blending import DEFAULT_LANGUAGE, MAX_PARTS, SPEECH_OF, Part, blend_reference

PER_MINUTE = 20


class PreviewSerializer(StrictSerializer):
    blend = PartSerializer(many=True, allow_empty=False, max_length=MAX_PARTS)  # type: ignore[call-arg]
    language = serializers.ChoiceField(sorted(SPEECH_OF), required=False, default=DEFAULT_LANGUAGE)


class BlendPreviewView(APIView):
    @extend_schema(
        operation_id="tts_blend_preview",
        summary="Écouter un mélange avant de l’enregistrer",
        request=PreviewSerializer,
        responses={(200, "audio/mpeg"): bytes},
    )
    async def post(self, request: HttpRequest) -> HttpResponseBase:
        caller = await in_database(authenticate, request)
        order = await in_database(_order, caller, read_json(request))
        pieces = engine_named("kokoro").stream(order)
        try:
            first = await anext(pieces)
        except EngineError as error:
            raise translate(error) from error
        return StreamingHttpResponse(
            _sound(first.data, pieces),
            content_type="audio/mpeg",
            headers={"Cache-Control": "private, no-store"},
        )

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        try:
            if request.method == "POST":
                return await self.post(request)
            raise errors.only("POST")
        except (errors.Fr02Error, ValidationError) as error:
            return cast(HttpResponseBase, errors.handle_exception(error, {"request": request}))


def _order(caller: Caller, body: Any) -> EngineOrder:
    given = PreviewSerializer(data=body)
    given.is_valid(raise_exception=True)
    parts = [Part(**item) for item in given.validated_data["blend"]]
    language = given.validated_data["language"]
    reference = blend_reference(user_id=caller.user_id, parts=parts, language=language)
    count_preview(caller.user_id)
    return samples.sample_order(reference, account=str(caller.user_id))


def count_preview(user_id: int) -> None:
    """Raise RateLimited when an account has heard enough in this minute."""
    detail = _("Au plus {count} essais de mélange par minute.").format(count=PER_MINUTE)
    count_in_minute(str(user_id), name="blend-preview", limit=PER_MINUTE, detail=detail)


async def _sound(first: bytes, rest: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(rest):  # type: ignore[type-var]
        yield first
        async for piece in rest:
            if piece.data:
                yield piece.data
