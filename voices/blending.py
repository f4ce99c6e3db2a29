"""Mix local voices into a new one: weighted means of Kokoro's style vectors. It works offline and at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from fr02.errors import InvalidRequest, VoiceNotFound
from voices.builtin import LANGUAGES
from voices.editing import VoiceFields, check_quota
from voices.models import Voice
from voices.words import search_text

MAX_PARTS = 5
MAX_WEIGHT = 1_000_000.0
LEAST_SHARE = 0.0005  # what nobody hears is left out
DEFAULT_LANGUAGE = "fr"
SPEECH_OF = {language: speech for speech, language, _name in reversed(LANGUAGES.values())}


@dataclass(frozen=True)
class Part:
    """One ingredient of a blend; only the proportion of the weights matters."""

    voice_id: str
    weight: float


def blendable(user_id: int) -> Any:
    """Return the voices that an account may mix: the built-in ones and its own local ones."""
    local = Voice.objects.filter(engine=Voice.Engine.KOKORO, deleted_at=None, state=Voice.State.TRAINED)
    return local.filter(Q(kind=Voice.Kind.BUILT_IN) | Q(owner_id=user_id))


def blend_reference(
    *, user_id: int, parts: Sequence[Part], language: str = DEFAULT_LANGUAGE
) -> dict[str, Any]:
    """Return the engine reference of a blend: styles with weights that add up to 1, the heaviest first.

    An own blend counts as the styles that it is made of. Raises InvalidRequest, and VoiceNotFound for a voice
    that is neither built in nor the account's own.
    """
    _check(parts, language)
    voices = blendable(user_id).in_bulk([part.voice_id for part in parts], field_name="public_id")
    weights: dict[str, float] = {}
    # Only proportions matter, and these never vanish, however small the weights.
    heaviest = max(part.weight for part in parts)
    for index, part in enumerate(parts):
        voice = voices.get(part.voice_id)
        if voice is None:
            raise _unusable(user_id, part, index)
        styles = voice.reference["styles"]
        whole = sum(weight for _style, weight in styles)
        for style, weight in styles:
            weights[style] = weights.get(style, 0.0) + part.weight / heaviest * weight / whole
    return {"styles": _normalised(weights), "language": SPEECH_OF[language]}


@transaction.atomic
def create_blend(
    *, user_id: int, fields: VoiceFields, parts: Sequence[Part], language: str = DEFAULT_LANGUAGE
) -> Voice:
    """Save a blend as a private voice, ready at once. Raises what `blend_reference` raises, Conflict at the quota."""
    reference = blend_reference(user_id=user_id, parts=parts, language=language)
    check_quota(user_id=user_id)
    return Voice.objects.create(
        owner_id=user_id,
        kind=Voice.Kind.BLEND,
        engine=Voice.Engine.KOKORO,
        reference=reference,
        title=fields.title,
        description=fields.description,
        tags=list(fields.tags),
        visibility=fields.visibility,
        languages=[language],
        search_text=search_text(title=fields.title, tags=fields.tags, languages=[language]),
    )


def _check(parts: Sequence[Part], language: str) -> None:
    pointers = []
    if not 1 <= len(parts) <= MAX_PARTS:
        pointers.append(("/blend", _("Mélangez de 1 à {most} voix.").format(most=MAX_PARTS)))
    if len({part.voice_id for part in parts}) < len(parts):
        pointers.append(("/blend", _("La même voix figure deux fois.")))
    for index, part in enumerate(parts):
        if not math.isfinite(part.weight) or not 0 < part.weight <= MAX_WEIGHT:
            pointers.append((f"/blend/{index}/weight", _("Le poids doit être un nombre positif.")))
    if language not in SPEECH_OF:
        choices = ", ".join(sorted(SPEECH_OF))
        pointers.append(("/language", _("Valeurs possibles\u00a0: {choices}.").format(choices=choices)))
    if pointers:
        raise InvalidRequest(" ".join(detail for _pointer, detail in pointers[:3]), pointers=pointers)


def _unusable(user_id: int, part: Part, index: int) -> Exception:
    """Say why a voice cannot be mixed; of somebody else's voice nothing is said."""
    if not Voice.objects.private_of(user_id).filter(public_id=part.voice_id).exists():
        return VoiceNotFound()
    detail = _("Seules les voix locales peuvent être mélangées, pas les clones ni les voix adoptées.")
    return InvalidRequest(detail, pointers=[(f"/blend/{index}/voice_id", detail)])


def _normalised(weights: dict[str, float]) -> list[list[Any]]:
    total = sum(weights.values())
    heard = {style: weight / total for style, weight in weights.items() if weight / total >= LEAST_SHARE}
    total = sum(heard.values())
    ordered = sorted(heard.items(), key=lambda item: (-item[1], item[0]))
    return [[style, round(weight / total, 6)] for style, weight in ordered]
