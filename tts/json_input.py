"""Read JSON that a stranger wrote: the same strict rules for REST and the socket."""

import json
from typing import Any

from django.utils.translation import gettext as _

from fr02.errors import InvalidRequest


def parse_json(raw: bytes | str) -> Any:
    """Return the value of a JSON text. NaN, infinities, bad UTF-8 and bottomless nesting are refused."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidRequest(_("Le corps de la requête n’est pas du JSON valide.")) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
