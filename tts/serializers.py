"""The shapes of the REST answers, for the schema. The request's shape comes from `tts.request.PARAMETERS`."""

from typing import Any

from rest_framework import serializers as rest

from tts.models import Generation
from tts.request import EXTRA_PARAMETERS, PARAMETERS, Parameter


def _field(parameter: Parameter) -> rest.Field:
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
    return rest.CharField(**common)


SpeechRequestSerializer = type(
    "SpeechRequestSerializer",
    (rest.Serializer,),
    {parameter.name: _field(parameter) for parameter in PARAMETERS + EXTRA_PARAMETERS},
)


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


class HistoryQuerySerializer(rest.Serializer):
    page = rest.IntegerField(required=False, min_value=1)
    page_size = rest.IntegerField(required=False, min_value=1, max_value=100)
    voice_id = rest.CharField(required=False)
    status = rest.ChoiceField(choices=Generation.Status.values, required=False)
    search = rest.CharField(required=False)

    def get_fields(self) -> dict[str, rest.Field]:
        # `from` is a word of Python.
        moments = {name: rest.DateTimeField(required=False) for name in ("from", "to")}
        return super().get_fields() | moments


class ProblemPointerSerializer(rest.Serializer):
    pointer = rest.CharField()
    detail = rest.CharField()


class ProblemSerializer(rest.Serializer):
    type = rest.CharField()
    title = rest.CharField()
    status = rest.IntegerField()
    detail = rest.CharField()
    code = rest.CharField()
    request_id = rest.CharField()
    errors = ProblemPointerSerializer(many=True, required=False)  # type: ignore[assignment]
