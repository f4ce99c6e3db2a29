"""The REST doors of speech: synthesis, quote, history, subtitles, stream tickets."""

import uuid
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import PortalAuthentication, authenticate, caller_of, key_from_headers
from accounts.services import create_stream_ticket, resolve_key
from billing.pricing import price_micros
from billing.services import credit_of
from fr02 import errors
from fr02.bridge import in_database, in_thread
from fr02.json_body import read_json
from fr02.media import CONTENT_TYPES, Chunks, storage_at_work
from tts import history, idempotency, serializers
from tts.models import Generation
from tts.pipeline import Synthesis, fingerprint, open_synthesis
from tts.request import parse_speech_request
from tts.services import IdempotencyKeyTaken, delete_generation, remember_response
from voices.services import resolve_voice

CHARACTERS_PER_SECOND = 15


class SpeechView(APIView):
    """`POST /api/v1/tts/`: the hot path. Asynchronous from end to end; only the schema is REST framework's."""

    @extend_schema(
        operation_id="tts_create",
        summary="TTS synchrone (texte court)",
        request=serializers.SpeechRequestSerializer,
        parameters=[
            OpenApiParameter(idempotency.HEADER, idempotency.FORM, OpenApiParameter.HEADER),
            OpenApiParameter("RateLimit-Policy", str, OpenApiParameter.HEADER, response=[200, "4XX"]),
            OpenApiParameter("RateLimit", str, OpenApiParameter.HEADER, response=[200, "4XX"]),
        ],
        responses={
            (200, "application/json"): serializers.SpeechSerializer,
            **{(200, content_type): bytes for content_type in CONTENT_TYPES.values()},
            "4XX": OpenApiResponse(),
        },
    )
    async def post(self, request: HttpRequest) -> HttpResponseBase:
        caller = await in_database(authenticate, request)
        key = idempotency.read_key(request)
        speech = parse_speech_request(read_json(request), text_limit=settings.TEXT_LIMIT_REST)
        source = Generation.Source.REST if caller.key_id else Generation.Source.PORTAL
        wants_audio = request.headers.get("Accept", "").strip().startswith("audio/")
        while True:
            if key and (done := await idempotency.find_result(caller.user_id, key, fingerprint(speech))):
                return await _replay(done, wants_audio)
            try:
                synthesis = await open_synthesis(speech, caller, source=source, idempotency_key=key)
            except IdempotencyKeyTaken:
                continue
            except (errors.InsufficientCredit, errors.RateLimited):
                # The same request, a moment earlier, may have taken the last credit: then its answer is ours.
                if key and (done := await idempotency.find_result(caller.user_id, key, fingerprint(speech))):
                    return await _replay(done, wants_audio)
                raise
            response = await (_stream(synthesis) if wants_audio else _answer(synthesis))
            if quota := synthesis.generation.hold.quota:
                quota.tell(response)
            return response

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        try:
            if request.method == "POST":
                return await self.post(request)
            raise errors.only("POST")
        except errors.Fr02Error as error:
            return errors.problem_response(error, request)


class QuoteView(APIView):
    """`POST /api/v1/tts/quote`: what a synthesis would cost, exactly, without making it."""

    @extend_schema(
        operation_id="tts_quote",
        summary="Devis exact d’une synthèse",
        request=serializers.QuoteRequestSerializer,
        responses=serializers.QuoteSerializer,
    )
    def post(self, request: Request) -> Response:
        caller = caller_of(request)
        speech = parse_speech_request(request.data, text_limit=settings.TEXT_LIMIT_SOCKET)
        voice = resolve_voice(user_id=caller.user_id, voice_id=speech.voice_id)
        cost_micros = price_micros(engine=voice.engine, characters=speech.characters)
        available_micros = credit_of(caller.user_id).available_micros
        return Response(
            {
                "voice_id": voice.public_id,
                "engine": voice.engine,
                "characters": speech.characters,
                "cost_micros": cost_micros,
                "estimated_duration_ms": round(
                    speech.characters / CHARACTERS_PER_SECOND / speech.speed * 1000
                ),
                "available_micros": available_micros,
                "balance_after_micros": available_micros - cost_micros,
            }
        )


class StreamTokenView(APIView):
    """`POST /api/v1/tts/stream-token`: a single-use ticket with which a browser opens one socket."""

    authentication_classes = [PortalAuthentication]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Tell programs that they need no ticket, before they are told that they have no session."""
        if raw := key_from_headers(request.headers):
            resolve_key(raw)
            raise errors.Forbidden(
                _("Les tickets sont pour les pages du portail. Ouvrez la WebSocket avec votre clé.")
            )
        super().initial(request, *args, **kwargs)

    @extend_schema(
        operation_id="tts_stream_token",
        summary="Ticket de WebSocket",
        request=None,
        responses=serializers.TicketSerializer,
    )
    def post(self, request: Request) -> Response:
        ticket = create_stream_ticket(user=request.user)  # type: ignore[arg-type]
        return Response({"ticket": ticket, "subprotocols": ["fr02.v1", f"ticket.{ticket}"], "expires_in": 60})


class HistoryView(APIView):
    """`GET /api/v1/tts/history`."""

    @extend_schema(
        operation_id="tts_history",
        summary="Historique TTS",
        parameters=[serializers.HistoryQuerySerializer],
        responses=serializers.HistorySerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(
            history.page_of(caller_of(request).user_id, history.parse_query(request.query_params))
        )


class HistoryItemView(APIView):
    """`GET|DELETE /api/v1/tts/history/{id}`."""

    @extend_schema(operation_id="tts_history_get", responses=serializers.HistoryItemSerializer)
    def get(self, request: Request, generation_id: uuid.UUID) -> Response:
        return Response(history.item(history.find(caller_of(request).user_id, generation_id)))

    @extend_schema(operation_id="tts_history_delete", responses={204: None})
    def delete(self, request: Request, generation_id: uuid.UUID) -> Response:
        delete_generation(user_id=caller_of(request).user_id, generation_id=generation_id)
        return Response(status=204)


class SubtitlesView(APIView):
    """`GET /api/v1/tts/history/{id}/subtitles.(srt|vtt)`."""

    @extend_schema(
        operation_id="tts_subtitles", responses={(200, "text/vtt"): str, (200, "application/x-subrip"): str}
    )
    def get(self, request: Request, generation_id: uuid.UUID, kind: str) -> HttpResponse:
        generation = history.find(caller_of(request).user_id, generation_id)
        content_type = {"srt": "application/x-subrip", "vtt": "text/vtt"}[kind]
        return HttpResponse(
            history.subtitles(generation, kind), content_type=f"{content_type}; charset=utf-8"
        )


async def _answer(synthesis: Synthesis) -> HttpResponse:
    """Make the whole file, then answer with its link."""
    async for _data in synthesis.stream(is_live=False):
        pass
    generation = await in_database(Generation.objects.select_related("voice").get, pk=synthesis.generation.pk)
    body = await in_thread(history.speech, generation, synthesis.balance_micros)
    if generation.idempotency_key:
        await in_database(remember_response, generation_id=generation.pk, response=body)
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})


async def _stream(synthesis: Synthesis) -> HttpResponseBase:
    """Send the audio as it is made. Nothing is sent before the first of it exists: a refusal is a clean status."""
    audio = synthesis.stream()
    first = await anext(audio)
    return _audio_response(synthesis.generation, _with_first(first, audio), synthesis.delivery.warnings)


async def _replay(generation: Generation, wants_audio: bool) -> HttpResponseBase:
    """Give the answer of an earlier request with the same key again. It is not debited again."""
    if wants_audio:
        if not generation.audio_name:
            raise errors.NotFound(_("L’audio de cette synthèse n’a pas été conservé."))
        stored = Chunks(await in_thread(_open_stored, generation))
        return _audio_response(generation, stored, generation.warnings)
    fresh = await in_database(history.replayed, generation)
    return JsonResponse(fresh, json_dumps_params={"ensure_ascii": False})


def _audio_response(
    generation: Generation, audio: AsyncIterable[bytes], warnings: list[dict[str, str]]
) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        audio,
        content_type=CONTENT_TYPES[f".{generation.format}"],
        headers={
            "X-Generation-Id": str(generation.pk),
            "X-Characters": str(generation.characters),
            "X-Cost-Micros": str(full_price_micros(generation)),
            "X-Sample-Rate": str(generation.sample_rate),
            "X-Warnings": ",".join(warning["code"] for warning in warnings),
            "X-Accel-Buffering": "no",
            "Cache-Control": "private, no-store",
        },
    )


def full_price_micros(generation: Generation) -> int:
    """Return what the whole text costs, delivered to its end."""
    if generation.status == Generation.Status.DONE:
        return generation.cost_micros
    return generation.hold.amount_micros


async def _with_first(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    try:
        yield first
        async for data in rest:
            yield data
    finally:
        await rest.aclose()


def _open_stored(generation: Generation) -> File:
    """Return the stored audio, ready to be read. Raises NotFound, StorageUnavailable."""
    try:
        with storage_at_work():
            file = storages["default"].open(generation.audio_name)
            # S3 fetches at the first reading.
            file.seek(0)
            return file
    except FileNotFoundError:
        raise errors.NotFound(_("L’audio de cette synthèse n’a pas été conservé.")) from None
