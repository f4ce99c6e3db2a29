"""The shapes of the REST answers, for the schema. The request's shape comes from `tts.request.PARAMETERS`."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers as rest

from fr02.json_body import StrictSerializer
from tts.history import MAX_PAGE, MAX_PAGE_SIZE
from tts.models import Generation
from tts.request import EXTRA_PARAMETERS, PARAMETERS, Parameter


def _field(parameter: Parameter, text_limit: int) -> rest.Field:
    common: dict[str, Any] = {"help_text": parameter.description, "required": parameter.is_required}
    if parameter.default is not None:
        common["default"] = parameter.default
        common.pop("required")
    elif not parameter.is_required:
        common["allow_null"] = True
    if parameter.type == "float":
        return rest.FloatField(min_value=parameter.minimum, max_value=parameter.maximum, **common)
    if parameter.choices:
        return rest.ChoiceField(choices=parameter.choices, **common)
    if parameter.name == "text":
        return rest.RegexField(r"\S", max_length=text_limit, **common)
    return rest.CharField(**common)


def _request(name: str, text_limit: int) -> type[rest.Serializer]:
    fields = {parameter.name: _field(parameter, text_limit) for parameter in PARAMETERS + EXTRA_PARAMETERS}
    return extend_schema_serializer(component_name=name)(type(name, (StrictSerializer,), fields))


SpeechRequestSerializer = _request("Speech", settings.TEXT_LIMIT_REST)
QuoteRequestSerializer = _request("Quote", settings.TEXT_LIMIT_SOCKET)


class WarningSerializer(rest.Serializer):
    code = rest.CharField()
    detail = rest.CharField()


class SpeechSerializer(rest.Serializer):
    id = rest.UUIDField()
    status = rest.ChoiceField(choices=Generation.Status.values)
    voice_id = rest.CharField(allow_null=True)
    format = rest.CharField()
    sample_rate = rest.IntegerField()
    duration_ms = rest.IntegerField()
    size = rest.IntegerField()
    characters = rest.IntegerField()
    cost_micros = rest.IntegerField()
    balance_micros = rest.IntegerField()
    audio_url = rest.URLField(allow_null=True)
    audio_url_expires_at = rest.DateTimeField(allow_null=True)
    warnings = WarningSerializer(many=True)
    created_at = rest.DateTimeField()


class QuoteSerializer(rest.Serializer):
    voice_id = rest.CharField()
    engine = rest.CharField()
    characters = rest.IntegerField()
    cost_micros = rest.IntegerField()
    estimated_duration_ms = rest.IntegerField()
    available_micros = rest.IntegerField()
    balance_after_micros = rest.IntegerField()


class TicketSerializer(rest.Serializer):
    ticket = rest.CharField()
    subprotocols = rest.ListField(child=rest.CharField())
    expires_in = rest.IntegerField()


class HistoryItemSerializer(rest.Serializer):
    id = rest.UUIDField()
    text = rest.CharField()
    voice_id = rest.CharField(allow_null=True)
    voice_title = rest.CharField()
    format = rest.CharField()
    sample_rate = rest.IntegerField()
    duration_ms = rest.IntegerField()
    size = rest.IntegerField()
    characters = rest.IntegerField()
    billed_characters = rest.IntegerField()
    cost_micros = rest.IntegerField()
    status = rest.ChoiceField(choices=Generation.Status.values)
    failure = rest.CharField(allow_null=True)
    warnings = WarningSerializer(many=True)
    source = rest.CharField()  # type: ignore[assignment]
    audio_url = rest.URLField(allow_null=True)
    audio_url_expires_at = rest.DateTimeField(allow_null=True)
    created_at = rest.DateTimeField()


class HistorySerializer(rest.Serializer):
    history = HistoryItemSerializer(many=True)
    page = rest.IntegerField()
    page_size = rest.IntegerField()
    total = rest.IntegerField()
    next = rest.IntegerField(allow_null=True)


@extend_schema_field({"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]})
class MomentField(rest.CharField):
    """A moment, or the day at whose beginning it lies."""


class HistoryQuerySerializer(rest.Serializer):
    page = rest.IntegerField(required=False, min_value=1, max_value=MAX_PAGE)
    page_size = rest.IntegerField(required=False, min_value=1, max_value=MAX_PAGE_SIZE)
    voice_id = rest.CharField(required=False)
    status = rest.ChoiceField(choices=Generation.Status.values, required=False)
    search = rest.CharField(required=False)

    def get_fields(self) -> dict[str, rest.Field]:
        # `from` is a word of Python.
        moments = {name: MomentField(required=False) for name in ("from", "to")}
        return super().get_fields() | moments
