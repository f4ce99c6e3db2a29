"""The one description of the speech parameters.

It feeds the page's table, the serializer, the OpenAPI schema and the socket's validation: they cannot disagree.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fr02.errors import InvalidRequest, TextTooLong, pointer_to
from fr02.typography import number


@dataclass(frozen=True)
class Parameter:
    """One parameter as the page shows it. `default` None means that it has none to show."""

    name: str
    type: str
    default: Any
    description: Any
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    is_required: bool = False
    # What the page prints under "Défaut" where it is not the value itself.
    shown_default: str = ""


PARAMETERS = (
    Parameter("text", "string", None, gettext_lazy("Texte à synthétiser (requis)"), is_required=True),
    Parameter("voice_id", "string", None, gettext_lazy("ID Fish Audio de la voix"), shown_default="default"),
    Parameter("format", "string", "mp3", gettext_lazy("mp3, wav, pcm, opus"), ("mp3", "wav", "pcm", "opus")),
    Parameter("speed", "float", 1.0, gettext_lazy("Vitesse (0.5 – 2.0)"), minimum=0.5, maximum=2.0),
    Parameter("volume", "float", 0.0, gettext_lazy("Volume dB (-20 à +20)"), minimum=-20, maximum=20),
    Parameter("temperature", "float", 0.7, gettext_lazy("Variabilité (0.1 – 1.5)"), minimum=0.1, maximum=1.5),
    Parameter(
        "latency", "string", "balanced", gettext_lazy("normal, balanced, low"), ("normal", "balanced", "low")
    ),
)
# What the page's table leaves out: choices that only some callers make.
EXTRA_PARAMETERS = (
    Parameter(
        "fallback",
        "string",
        None,
        gettext_lazy(
            "«\u202flocal\u202f»\u00a0: si le moteur en ligne échoue, la suite est dite par le moteur local."
        ),
        ("local",),
    ),
)
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS + EXTRA_PARAMETERS}
# How much of what was refused a sentence names: of a name its beginning, of many fields the first.
SHOWN_NAME, SHOWN_FIELDS = 40, 5
# A session gets its text afterwards, bit by bit.
SESSION_PARAMETERS = tuple(parameter for name, parameter in BY_NAME.items() if name != "text")


@dataclass(frozen=True)
class SpeechRequest:
    """What a customer asks for, valid in every field. `text` is NFC; `volume` in dB; `voice_id` None: the default."""

    text: str
    voice_id: str | None = None
    format: str = "mp3"
    speed: float = 1.0
    volume: float = 0.0
    temperature: float = 0.7
    latency: str = "balanced"
    fallback: str | None = None

    @property
    def characters(self) -> int:
        """The Unicode code points that are paid for."""
        return len(self.text)


def parse_speech_request(data: Any, *, text_limit: int) -> SpeechRequest:
    """Return the request of a JSON object. Raises InvalidRequest with one pointer per bad field, or TextTooLong."""
    if not isinstance(data, Mapping):
        raise InvalidRequest(_("Le corps doit être un objet JSON."))
    values = _read_all(tuple(BY_NAME.values()), data)
    if len(values["text"]) > text_limit:
        raise too_long(text_limit)
    return SpeechRequest(**values)


def parse_session_request(data: Mapping[str, Any]) -> SpeechRequest:
    """Return the request of a session, whose text is still to come. Raises InvalidRequest with its pointers."""
    return SpeechRequest(text="", **_read_all(SESSION_PARAMETERS, data))


def refused_fields(fields: list[tuple[str, str]]) -> InvalidRequest:
    """Return the refusal of fields (name, sentence): it names the first of them in words and points at all."""
    reasons = [
        _("«\u202f{name}\u202f»\u00a0: {reason}").format(
            name=name if len(name) <= SHOWN_NAME else f"{name[:SHOWN_NAME]}…", reason=why[0].lower() + why[1:]
        )
        for name, why in fields[:SHOWN_FIELDS]
    ]
    if len(fields) > SHOWN_FIELDS:
        reasons.append(_("Les autres sont dans «\u202ferrors\u202f»."))
    return InvalidRequest(
        _("Requête refusée. {reasons}").format(reasons=" ".join(reasons)),
        pointers=[(pointer_to(name), why) for name, why in fields],
    )


def too_long(limit: int) -> TextTooLong:
    """Return the refusal of a long text: it says the limit and what to use instead."""
    advice = (
        _("Utilisez la WebSocket /api/v1/tts/stream, qui accepte {limit} caractères.").format(
            limit=number(settings.TEXT_LIMIT_SOCKET)
        )
        if limit < settings.TEXT_LIMIT_SOCKET
        else _("Découpez-le en plusieurs demandes.")
    )
    detail = _("Le texte dépasse {limit} caractères. {advice}").format(limit=number(limit), advice=advice)
    return TextTooLong(detail, pointers=[(pointer_to("text"), detail)], limit_characters=limit)


def check_string(value: Any) -> str:
    """Return a value that is a string of valid characters. Raises ValueError with a French sentence."""
    if not isinstance(value, str):
        raise ValueError(_("Une chaîne de caractères est attendue."))
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value) or "\0" in value:
        raise ValueError(_("Le texte contient des caractères Unicode invalides."))
    return value


def _read_all(parameters: tuple[Parameter, ...], data: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    names = {parameter.name for parameter in parameters}
    refused = [(name, _("Champ inconnu.")) for name in data if name not in names]
    for parameter in parameters:
        try:
            values[parameter.name] = _read(parameter, data)
        except ValueError as error:
            refused.append((parameter.name, str(error)))
    if refused:
        raise refused_fields(refused)
    return values


def _read(parameter: Parameter, data: Mapping[str, Any]) -> Any:
    value = data.get(parameter.name)
    if value is None:
        if parameter.is_required:
            raise ValueError(_("Ce champ est requis."))
        if parameter.name in data and parameter.default is not None:
            raise ValueError(_("Ce champ ne peut pas être nul."))
        return parameter.default
    return _read_number(parameter, value) if parameter.type == "float" else _read_string(parameter, value)


def _read_number(parameter: Parameter, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(_("Un nombre est attendu."))
    assert parameter.minimum is not None and parameter.maximum is not None
    # False for NaN, and exact for integers that no float can hold.
    if not parameter.minimum <= value <= parameter.maximum:
        raise ValueError(
            _("La valeur doit être comprise entre {minimum} et {maximum}.").format(
                minimum=parameter.minimum, maximum=parameter.maximum
            )
        )
    return float(value)


def _read_string(parameter: Parameter, value: Any) -> str:
    if parameter.choices and isinstance(value, str) and value not in parameter.choices:
        raise ValueError(
            _("Valeurs possibles\u00a0: {choices}.").format(choices=", ".join(parameter.choices))
        )
    value = check_string(value)
    if parameter.name == "text":
        value = unicodedata.normalize("NFC", value)
        if not value.strip():
            raise ValueError(_("Le texte est vide."))
    return value
