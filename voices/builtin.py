"""The 54 voices that come with the local engine, as they stand in the catalogue."""

import hashlib
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from voices.models import Voice
from voices.words import search_text

AUTHOR = "Kokoro"
DEFAULT_STYLE = "ff_siwis"
# First letter of a style: espeak's language code, our own, and its French name.
LANGUAGES = {
    "a": ("en-us", "en", _("anglais américain")),
    "b": ("en-gb", "en", _("anglais britannique")),
    "e": ("es", "es", _("espagnol")),
    "f": ("fr-fr", "fr", _("français")),
    "h": ("hi", "hi", _("hindi")),
    "i": ("it", "it", _("italien")),
    "j": ("ja", "ja", _("japonais")),
    "p": ("pt-br", "pt", _("portugais du Brésil")),
    "z": ("cmn", "zh", _("chinois mandarin")),
}
STYLES = (
    "ff_siwis",
    *(
        f"af_{name}"
        for name in [
            "alloy",
            "aoede",
            "bella",
            "heart",
            "jessica",
            "kore",
            "nicole",
            "nova",
            "river",
            "sarah",
            "sky",
        ]
    ),
    *(
        f"am_{name}"
        for name in ["adam", "echo", "eric", "fenrir", "liam", "michael", "onyx", "puck", "santa"]
    ),
    *(f"bf_{name}" for name in ["alice", "emma", "isabella", "lily"]),
    *(f"bm_{name}" for name in ["daniel", "fable", "george", "lewis"]),
    *("ef_dora", "em_alex", "em_santa"),
    *("hf_alpha", "hf_beta", "hm_omega", "hm_psi"),
    *("if_sara", "im_nicola"),
    *("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo"),
    *("pf_dora", "pm_alex", "pm_santa"),
    *(f"zf_{name}" for name in ["xiaobei", "xiaoni", "xiaoxiao", "xiaoyi"]),
    *(f"zm_{name}" for name in ["yunjian", "yunxi", "yunxia", "yunyang"]),
)


def builtin_id(style: str) -> str:
    """Return the public id of a built-in voice: the same on every machine."""
    return hashlib.blake2b(f"kokoro:{style}".encode(), digest_size=16).hexdigest()


def builtin_voice(style: str) -> Voice:
    """Return the unsaved row of one built-in style."""
    speech, language, language_name = LANGUAGES[style[0]]
    gender = _("féminine") if style[1] == "f" else _("masculine")
    fields: dict[str, Any] = {
        "title": f"{style[3:].capitalize()} ({language_name})",
        "tags": [str(gender), str(_("intégrée"))],
        "languages": [language],
    }
    return Voice(
        public_id=builtin_id(style),
        engine=Voice.Engine.KOKORO,
        kind=Voice.Kind.BUILT_IN,
        reference={"styles": [[style, 1.0]], "language": speech},
        visibility=Voice.Visibility.PUBLIC,
        description=str(
            _(
                "Voix %(gender)s intégrée à FR02, langue\u00a0: %(language)s."
                " Parlée sur place, sans service extérieur."
            )
            % {"gender": gender, "language": language_name}
        ),
        author_nickname=AUTHOR,
        search_text=search_text(
            title=fields["title"], author=AUTHOR, tags=fields["tags"], languages=[language]
        ),
        **fields,
    )


def sync_builtin_voices() -> None:
    """Make the catalogue hold exactly what this version brings along; what is unchanged is not written.

    A moderator's choices, likes and use counts stay as they are.
    """
    known = {voice.public_id: voice for voice in Voice.objects.filter(kind=Voice.Kind.BUILT_IN)}
    compared = ("title", "description", "tags", "languages", "reference", "search_text", "author_nickname")
    fresh, changed = [], []
    for style in STYLES:
        wanted = builtin_voice(style)
        voice = known.get(wanted.public_id)
        if voice is None:
            fresh.append(wanted)
        elif any(getattr(voice, name) != getattr(wanted, name) for name in compared):
            for name in compared:
                setattr(voice, name, getattr(wanted, name))
            voice.updated_at = timezone.now()
            changed.append(voice)
    # Two processes that start at once may both try.
    Voice.objects.bulk_create(reversed(fresh), ignore_conflicts=True)
    Voice.objects.bulk_update(changed, [*compared, "updated_at"])
