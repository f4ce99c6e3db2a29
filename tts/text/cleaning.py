"""Take away what cannot be spoken: markup, emoji, invisible characters. Every pattern is bounded."""

import re
import unicodedata

_INVISIBLE = re.compile(
    "[\ud800-\udfff\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_STRAY_ACCENTS = re.compile("[\u0300-\u036f]+")
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff\u20e3]+"
)
_PLAIN = str.maketrans(
    {
        "’": "'",
        "‘": "'",
        "‛": "'",
        "ʼ": "'",
        "`": "'",
        "´": "'",
        "“": " ",
        "”": " ",
        "„": " ",
        "«": " ",
        "»": " ",
        '"': " ",
        "−": "-",
        "‐": "-",
        "‑": "-",
        "‒": "-",
        "⁻": "-",
        "―": "—",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
        "\u2002": " ",
        "\u2003": " ",
        "\u3000": " ",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "‚": ",",
        "⁄": "/",
        "∕": "/",
        "º": "°",
        "№": "n°",
        "©": " ",
        "®": " ",
        "™": " ",
        "·": " ",
        "•": ", ",
        "¿": " ",
        "¡": " ",
    }
)

_FENCE = re.compile(r"`{3,}[\w+-]{0,20}")
_TAG = re.compile(r"</?([A-Za-z][\w-]{0,20})[^<>]{0,200}>")
_COMMENT = re.compile(r"<!--[^<>]{0,500}-->")
_ENTITY = {
    "&nbsp;": " ",
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": " ",
    "&eacute;": "é",
    "&#39;": "'",
}
_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,500}(?: [^()\n]{0,100})?\)")
_CUE = re.compile(
    r"\[(?:rires?|rit|soupirs?|soupire|pause|silence|chuchote(?:ment)?|murmure|toux|tousse|applaudissements?|musique|"
    r"bruits?|laughs?|laughing|laughter|sighs?|whispers?|whispering|cough|breath|break|emphasis|happy|sad|angry|excited)\]",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+", re.MULTILINE)
_QUOTE = re.compile(r"^[ \t]{0,3}>[ \t]?", re.MULTILINE)
_RULE = re.compile(r"^[ \t]{0,8}[-*_=|:+ ]{3,200}$", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]{0,20}[-*+–—•‣▪][ \t]+(?:\[[ xX]\][ \t]+)?", re.MULTILINE)
_STARS = re.compile(r"(?<![\d*])\*{1,3}|\*{1,3}(?![\d* ])|\*{2,3}|~~")
_UNDERSCORES = re.compile(r"(?<![\w@])_{1,3}(?=\w)|(?<=\w)_{1,3}(?![\w@])")
_PARAGRAPH = re.compile(r"([^\s.!?…:;,])?[ \t]*\n\s*\n\s*")
_LINE_END = re.compile(r"([.!?…:;,—])?[ \t]*\n[ \t]*")
_SPACES = re.compile(r"[ \t\n]+")
_REPEATED = re.compile(r"([!?,;:-])\1{1,}")


def clean(text: str) -> str:
    """Return `text` as plain speakable characters on one line.

    Any str is accepted, lone surrogates included.
    """
    text = unicodedata.normalize("NFC", _INVISIBLE.sub("", text))
    text = _STRAY_ACCENTS.sub("", _CONTROL.sub(" ", text))
    text = _without_markup(text)
    text = _EMOJI.sub(" ", text.translate(_PLAIN))
    text = _PARAGRAPH.sub(lambda match: f"{match[1] or ''}{'.' if match[1] else ''} ", text)
    text = _LINE_END.sub(lambda match: f"{match[1] or ''} ", text)
    text = _REPEATED.sub(r"\1", text)
    return _SPACES.sub(" ", text).strip()


def _without_markup(text: str) -> str:
    text = _COMMENT.sub(" ", text)
    text = _TAG.sub(lambda match: ", " if match[1].lower() in ("break", "br", "p", "li") else " ", text)
    for entity, plain in _ENTITY.items():
        text = text.replace(entity, plain)
    text = _FENCE.sub(" ", text).replace("`", "")
    text = _CUE.sub(" ", _LINK.sub(r"\1", text))
    text = _RULE.sub(" ", text)
    text = _BULLET.sub(", ", _QUOTE.sub("", _HEADING.sub("", text))).removeprefix(", ")
    text = _UNDERSCORES.sub("", _STARS.sub("", text))
    return text.replace("|", ", ")
