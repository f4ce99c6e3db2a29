"""Read abbreviations, addresses and stray signs as words."""

import re
from collections.abc import Callable

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_NEXT_NAME = r"(?= ?[A-ZÀ-Ý])"
_SPELLED = {
    "fr",
    "io",
    "eu",
    "uk",
    "us",
    "ai",
    "tv",
    "re",
    "gp",
    "mq",
    "pf",
    "nc",
    "ch",
    "lu",
    "qc",
    "gg",
    "ly",
    "dev",
}
_SIGNS = {
    ".": " point ",
    "/": " slash ",
    ":": " deux points ",
    "@": " arobase ",
    "-": " tiret ",
    "_": " tiret bas ",
    "?": " point d'interrogation ",
    "=": " égale ",
    "&": " et ",
    "#": " dièse ",
    "%": " pour cent ",
    "+": " plus ",
    "~": " tilde ",
    "$": " dollar ",
}
_TLD = (
    "fr|com|org|net|eu|io|dev|app|ai|gouv|info|be|ch|ca|re|lu|uk|"
    "de|es|it|co|tv|me|bzh|paris|shop|online|site|tech|cloud|xyz"
)


def read_addresses(text: str) -> str:
    """Return `text` with web and mail addresses spelled out."""
    for pattern in _ADDRESSES:
        text = pattern.sub(_address, text)
    return text


def read_abbreviations(text: str) -> str:
    """Return `text` with the usual French abbreviations in full."""
    for pattern, replacement in _ABBREVIATIONS:
        text = pattern.sub(replacement, text)
    return text


def read_signs(text: str) -> str:
    """Return `text` without the signs that nobody pronounces, and with the others in words."""
    for pattern, replacement in _STRAY:
        text = pattern.sub(replacement, text)
    return text


def _address(match: re.Match[str]) -> str:
    address = match[0]
    end = ""
    while address and address[-1] in ".,;:!?)'":
        end, address = address[-1] + end, address[:-1]
    address = re.sub(
        r"^(https?)://", lambda scheme: " ".join(scheme[1]) + " deux points slash slash ", address
    )
    head, sep, rest = address.rpartition(" slash slash ")
    rest = re.sub(r"^www\.", "w w w point ", rest)
    words = [_SIGNS.get(part, part) for part in re.split(r"([^\w]|_)", rest) if part]
    spoken = "".join(" ".join(word) if word in _SPELLED else word for word in words)
    return re.sub(r" +", " ", head + sep + spoken).strip() + end


def _rule(pattern: str, replacement: str | Callable[[re.Match[str]], str], flags: int = 0) -> Rule:
    return re.compile(pattern, flags), replacement


_ADDRESSES = (
    re.compile(r"\b(?:https?|wss?|ftp)://[^\s<>]{1,500}|\bwww\.[^\s<>]{1,500}"),
    re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}"),
    re.compile(
        rf"(?<![\w.@-])[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{0,3}}\.(?:{_TLD})(?![\w-])(?:/[\w./?=&%-]{{0,200}})?"
    ),
)

_DAYS = {
    "lun": "lundi", "mar": "mardi", "mer": "mercredi", "jeu": "jeudi", "ven": "vendredi", "sam": "samedi",
    "dim": "dimanche",
}  # fmt: skip
_ABBREVIATIONS: list[Rule] = [
    _rule(rf"\bMM\.{_NEXT_NAME}|\bMM\.(?= les\b)", "messieurs"),
    _rule(rf"\bM\.{_NEXT_NAME}|\bM\.(?= (?:le|la|l'|de|d')\b)", "monsieur"),
    _rule(rf"\bMr\b\.?{_NEXT_NAME}", "monsieur"),
    _rule(r"\bMmes\b\.?", "mesdames"),
    _rule(r"\bMme\b\.?", "madame"),
    _rule(r"\bMlles\b\.?", "mesdemoiselles"),
    _rule(r"\bMlle\b\.?", "mademoiselle"),
    _rule(rf"\bDrs?\b\.?{_NEXT_NAME}", "docteur"),
    _rule(rf"\bPrs?\b\.?{_NEXT_NAME}", "professeur"),
    _rule(r"\bMe\b\.? (?=[A-ZÀ-Ý][a-zà-ÿ])", "maître "),
    _rule(rf"\bMgr\b\.?{_NEXT_NAME}", "monseigneur"),
    _rule(rf"\bVve\b\.?{_NEXT_NAME}", "veuve"),
    _rule(r"\bSt[- ](?=[A-ZÀ-Ý])", "Saint-"),
    _rule(r"\bSte[- ](?=[A-ZÀ-Ý])", "Sainte-"),
    _rule(r"(?<=\b[IVX\d]e) s\.|(?<=[IVX\d]{2}e) s\.", " siècle"),
    _rule(
        r"\b(lun|mar|mer|jeu|ven|sam|dim)\. (?=\d{1,2}(?:er)?[ /])",
        lambda match: _DAYS[match[1].lower()] + " ",
        re.IGNORECASE,
    ),
    _rule(r"\bav\. ?J\.-?C\.?", "avant Jésus-Christ"),
    _rule(r"\bapr?\. ?J\.-?C\.?", "après Jésus-Christ"),
    _rule(r"\bJ\.-?C\.", "Jésus-Christ"),
    _rule(r"\bp\. ?ex\.", "par exemple", re.IGNORECASE),
    _rule(r"\bc\.?-?[aà]\.?-?d\.", "c'est-à-dire", re.IGNORECASE),
    _rule(r"\betc\.? ?(?:\.\.|…)", "et cetera."),
    _rule(r"\betc\.(?= [^A-ZÀ-Ý])", "et cetera"),
    _rule(r"\betc\.(?= ?[,;:)!?])", "et cetera"),
    _rule(r"\betc\b\.?", "et cetera."),
    _rule(r"\bi\. ?e\.", "c'est-à-dire"),
    _rule(r"\bN\. ?B\.", "nota bene"),
    _rule(r"\bcf\. ?", "confer ", re.IGNORECASE),
    _rule(r"\benv\. (?=\d)", "environ "),
    _rule(r"\bpp\. ?(?=\d)", "pages "),
    _rule(r"\bp\. ?(?=\d)", "page "),
    _rule(r"\b([Aa])rts?\. ?(?=[\dLRD])", r"\1rticle "),
    _rule(r"\b([Aa])l\. ?(?=\d)", r"\1linéa "),
    _rule(r"\b[Cc]hap\. ?(?=[\dIVXLC])", "chapitre "),
    _rule(r"\b[Ff]ig\. ?(?=\d)", "figure "),
    _rule(r"\b[Vv]ol\. ?(?=[\dIVXLC])", "volume "),
    _rule(r"\bt\. ?(?=[IVXLC]{1,5}\b)", "tome "),
    _rule(r"\bfasc\. ?(?=\d)", "fascicule "),
    _rule(r"\bréf\. ?", "référence ", re.IGNORECASE),
    _rule(r"§+ ?", "paragraphe "),
    _rule(r"\bav\. (?=[A-ZÀ-Ý]|d[eu] )", "avenue "),
    _rule(r"\b(?:bd|Bd|boul\.|Boul\.) (?=[A-ZÀ-Ý]|d[eu] )", "boulevard "),
    _rule(r"\bpl\. (?=[A-ZÀ-Ý]|d[eu] )", "place "),
    _rule(r"\bt[ée]l\.?(?= ?[:\d])", "téléphone", re.IGNORECASE),
    _rule(r"\bhab\.(?= ?/)", "hab"),
    _rule(r"(?<=\d )hab\.", "habitants"),
    _rule(r"\bvs\b\.?", "versus"),
    _rule(r"\bmax\.(?= |$)", "maximum"),
    _rule(r"(?<=\d )min\.(?= )", "minutes"),
    _rule(r"\bCie\b", "compagnie"),
    _rule(r"\bs\.?v\.?p\b\.?", "s'il vous plaît", re.IGNORECASE),
    _rule(r"\bR\.-?V\.|\bRDV\b|\brdv\b", "rendez-vous"),
    _rule(r"\bet/ou\b", "et ou"),
]

_STRAY: list[Rule] = [
    _rule(r" ?& ?", " et "),
    _rule(r" ?@ ?", " arobase "),
    _rule(r"(?<=\w)_+(?=\w)", " tiret bas "),
    _rule(r"(?<=\w)/(?=\w)", " "),
    _rule(r"(?<= )[/\\](?= )", "slash"),
    _rule(r"[*_~^\\|{}\[\]#/°]", " "),
    _rule(r" [-–—]+ ", ", "),
    _rule(r"^[-–—, ]+|(?<=\s)[-–—]+(?=\w)", ""),
    _rule(r"\.{3,}|…\.*", "…"),
    _rule(r"\.{2}", "."),
    _rule(r"(?: ?, ?){2,}", ", "),
    _rule(r",\s*(?=[.!?…;:])", ""),
    _rule(r" +(?=[,.;:!?…)])", ""),
    _rule(r"(?<=\() +", ""),
    _rule(r" {2,}", " "),
]
