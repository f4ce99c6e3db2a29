"""Read JSON that a stranger wrote: the same strict rules for every door."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.parsers import BaseParser

from fr02.errors import InvalidRequest, body_too_large


def parse_json(raw: bytes | str) -> Any:
    """Return the value of a JSON text. NaN, infinities, bad UTF-8 and bottomless nesting are refused."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidRequest(_("Le corps de la requête n’est pas du JSON valide.")) from None


def read_json(request: HttpRequest) -> Any:
    """Return the value of a request's body, for views that are not REST framework's. Raises FileTooLarge too."""
    try:
        body = request.body
    except RequestDataTooBig:
        raise body_too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE) from None
    return parse_json(body)


class StrictJSONParser(BaseParser):
    """Parse the body of a REST framework view."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        # Django limits what it keeps in memory itself, not what a parser reads of the stream.
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise body_too_large(limit)
        return parse_json(body)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuse fields that nobody reads: a misspelt one must not be lost in silence."""

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        unknown = set(data) - set(self.fields)
        if unknown:
            raise serializers.ValidationError({name: [_("Champ inconnu.")] for name in sorted(unknown)})
        return values


class TextField(serializers.CharField):
    """Take a text and nothing that could be written as one: a number is a mistake of the caller's."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
