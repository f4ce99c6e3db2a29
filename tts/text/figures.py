"""Read figures as a French reader does: amounts, units, dates, hours, ordinals, telephone numbers,
arithmetic.

The rules turn signs into words and leave whole numbers in digits; damga then spells those out, with their
gender.
"""

import re
from collections.abc import Callable

from tts.text.units import INVARIABLE_UNITS, PER_UNITS, UNITS

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

MONTHS = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]
_SHORT_MONTHS = {
    "janv": 0,
    "févr": 1,
    "fév": 1,
    "avr": 3,
    "juil": 6,
    "sept": 8,
    "oct": 9,
    "nov": 10,
    "déc": 11,
}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_PARTS_OF_ONE = {
    2: "demi", 3: "tiers", 4: "quart", 5: "cinquième",
    6: "sixième", 7: "septième", 8: "huitième", 9: "neuvième",
}  # fmt: skip

_NUMBER = r"\d{1,15}(?:,\d{1,10})?"
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
_PER_UNIT = "|".join(sorted(map(re.escape, PER_UNITS), key=len, reverse=True))
# "2 L" is two litres; "2024 l'entreprise" and "3 t-shirts" are not
_END = r"(?![\w²³]|'\w|-[^\W\d])"
_MONEY = r"(?:€|[$]|£|CHF|EUR|USD|GBP|euros?|dollars?|livres?|francs?)"
_COUNTED = (
    "habitants|personnes|salariés|emplois|visiteurs|spectateurs|places|exemplaires|voix|électeurs|morts|hommes|"
    "femmes|logements|entreprises|membres|abonnés|clients|élèves|étudiants|soldats|participants|manifestants"
)
_NAMES = (
    "Louis|Henri|Charles|Napoléon|François|Philippe|Jean|Jean-Paul|Benoît|Pie|Paul|Clément|Léon|"
    "Grégoire|Innocent|Urbain|Alexandre|Guillaume|Édouard|George|Georges|Richard|Jacques|Nicolas|Pierre|"
    "Catherine|Frédéric|Léopold|Albert|Alphonse|Ferdinand|Ramsès|Ptolémée|Hassan|Mohammed|Christian|"
    "Gustave|Othon|Maximilien|Rainier|Carlos|Felipe|François-Joseph|Élisabeth|Elizabeth|Sixte"
)
_PARTS = (
    "chapitre|tome|livre|acte|scène|partie|titre|volume|annexe|phase|type|niveau|article|section|classe|"
    "groupe|guerre|figure|planche|page|leçon|épisode|saison|catégorie|grade|stade|étape|concile|Vatican|"
    "Paris"
)
_NOT_NOUNS = r"(?:plus|moins|dans|mais|sans|très|depuis|vers|jamais|toujours|sous|puis|alors|chez|pas)\b"
_DATE_BEFORE = (
    r"(?:[Ll]e|[Dd]u|[Aa]u|[Ll]es|[Dd]ès le|"
    r"[Ll]undi|[Mm]ardi|[Mm]ercredi|[Jj]eudi|[Vv]endredi|[Ss]amedi|[Dd]imanche)"
)


def read_figures(text: str) -> str:
    """Return cleaned `text` with figures, units and arithmetic in words or in forms damga spells right."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _thousands(match: re.Match[str]) -> str:
    return re.sub(r"[ .']", "", match[0])


def _money_first(match: re.Match[str]) -> str:
    sign, amount = match[1], match[2]
    return f"{amount.replace(',', '') if re.search(r',[0-9]{3}', amount) else amount} {sign}"


def _millions(match: re.Match[str]) -> str:
    return f"{match[1]} {_of(UNITS[match[2]] + 's')}"


def _of(noun: str) -> str:
    return ("d'" if noun[0] in "aeéèêiouyœh" else "de ") + noun


def _phone(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    prefix = ""
    if match[0].startswith(("+33", "0033")):
        digits = digits.removeprefix("00").removeprefix("33").removeprefix("0")
        prefix, digits = f"plus 33, {digits[0]}, ", digits[1:]
    return prefix + ", ".join(digits[start : start + 2] for start in range(0, len(digits), 2))


def _freephone(match: re.Match[str]) -> str:
    return f"0 {int(match[1] or match[2])}, {_group(match[3])}, {_group(match[4])}"


def _group(digits: str) -> str:
    zeros = len(digits) - len(digits.lstrip("0"))
    return " ".join(["0"] * min(zeros, len(digits) - 1) + [str(int(digits))])


def _postcode(match: re.Match[str]) -> str:
    town, rest = match[1], match[2]
    return match[0] if rest == "000" or town == "00" else f"{town}, {_group(rest)}"


def _date(match: re.Match[str]) -> str:
    return _spoken_date(match[0], day=match["day"], month=match["month"], year=match["year"])


def _spoken_date(written: str, *, day: str, month: str, year: str | None = None) -> str:
    if not (1 <= int(day) <= 31 and 1 <= int(month) <= 12):
        return written
    first = "1er" if int(day) == 1 else str(int(day))
    return f"{first} {MONTHS[int(month) - 1]}" + (f" {_full_year(year)}" if year else "")


def _full_year(year: str) -> str:
    return str(int(year)) if len(year) == 4 else str(2000 + int(year) if int(year) < 70 else 1900 + int(year))


def _context_date(match: re.Match[str]) -> str:
    written = match[0][len(match["before"]) :]
    spoken = _spoken_date(written.strip(), day=match["day"], month=match["month"])
    return f"{match['before']} {spoken}"


def _padded_date(match: re.Match[str]) -> str:
    return _spoken_date(match[0], day=match["day"], month=match["month"])


def _short_month(match: re.Match[str]) -> str:
    month = MONTHS[_SHORT_MONTHS[match[2].lower()]]
    return f"{match[1]} {month}" if match[1] else f"{month} "


def _month_and_year(match: re.Match[str]) -> str:
    return f"{MONTHS[int(match[1]) - 1]} {match[2]}"


def _clock(match: re.Match[str]) -> str:
    hours, minutes = int(match["h"]), match["m"]
    seconds = int(match.groupdict().get("s") or 0)
    if minutes and int(minutes) > 59:
        return match[0]
    spoken = _hours(hours)
    if minutes and (int(minutes) or seconds):
        spoken += f" {int(minutes)}"
    if seconds:
        spoken += f" minutes {seconds} secondes"
    return spoken


def _hours(hours: int) -> str:
    return f"{hours} heure{'s' if hours > 1 else ''}"


def _unit(match: re.Match[str]) -> str:
    number, unit, per = match["n"], UNITS[match["u"]], match.groupdict().get("per")
    is_plural = int(number.split(",")[0]) >= 2
    if "d'euros" in unit and is_plural:
        unit = unit.replace(" ", "s ", 1)
    elif is_plural and unit not in INVARIABLE_UNITS:
        unit = _plural(unit)
    amount = number
    euros, _, cents = number.partition(",")
    if UNITS[match["u"]] in ("euro", "dollar", "livre") and len(cents) in (1, 2) and int(cents or 0):
        amount, cents = euros, str(int(cents.ljust(2, "0")))
        unit = f"{unit} {cents}"
        if int(euros) == 0:
            amount, unit = cents, "centimes" if int(cents) > 1 else "centime"
    elif cents and not int(cents):
        amount = euros if UNITS[match["u"]] in ("euro", "dollar", "livre") else number
    return f"{amount} {unit}" + (_per(match["u"], per) if per else "")


def _plural(unit: str) -> str:
    head, *rest = unit.split(" ")
    return " ".join(
        [head + "s", *(word + "s" if word in ("carré", "cube", "suisse") else word for word in rest)]
    )


def _per(unit: str, per: str) -> str:
    if unit == "km" and per == "h":
        return " heure"
    return f" par {PER_UNITS[per]}"


def _bare_rate(match: re.Match[str]) -> str:
    unit = UNITS[match["u"]]
    return unit + ("s" if match["u"] == "hab" else "") + _per(match["u"], match["per"])


def _bare_unit(match: re.Match[str]) -> str:
    return UNITS[match[0]]


def _fraction(match: re.Match[str]) -> str:
    above, below = int(match[1]), int(match[2])
    if below in _PARTS_OF_ONE and 0 < above < below:
        name = _PARTS_OF_ONE[below]
        return f"{above} {name}" if above == 1 or name.endswith("s") else f"{above} {name}s"
    return f"{above} sur {below}"


def _roman_ordinal(match: re.Match[str]) -> str:
    number = _roman(match["roman"].upper())
    if not number:
        return match[0]
    if number == 1:
        return "1re" if match["end"] in ("re", "ère") else "1er"
    return f"{number}e"


def _roman_name(match: re.Match[str]) -> str:
    number = _roman(match["roman"])
    return f"{match['name']} {number}" if number else match[0]


def _roman(letters: str) -> int:
    """Return the value of a well-formed Roman numeral, 0 for anything else."""
    if not re.fullmatch(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})", letters):
        return 0
    values = [_ROMAN[letter] for letter in letters]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < following else value for value, following in pairs)


def _version(match: re.Match[str]) -> str:
    return " point ".join(_group(part) for part in match[0].split("."))


def _code(match: re.Match[str]) -> str:
    digits = match[2]
    spoken = _group(digits) if len(digits) < 5 else " ".join(digits)
    return " ".join([*match[1], spoken, *match[3]]).rstrip()


def _digits(match: re.Match[str]) -> str:
    return " ".join(match[0])


def _rule(pattern: str, replacement: str | Callable[[re.Match[str]], str], flags: int = 0) -> Rule:
    return re.compile(pattern, flags), replacement


_DAY_MONTH = r"(?P<day>\d{1,2})/(?P<month>\d{1,2})(?![\d/])"
_RULES: list[Rule] = [
    # telephone numbers, before any other digits are touched
    _rule(r"(?<![\d+])(?:\+33|0033|0)[ .-]?(?:\(0\)[ .-]?)?[1-9](?:[ .-]?\d{2}){4}(?![\d])", _phone),
    _rule(r"(?<![\d,.])(?:0 (\d{3})|0(8\d{2})) (\d{3}) (\d{3})(?!\d)", _freephone),
    # dates and hours
    _rule(r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?=T\d|\b)", _date),
    _rule(r"(?<=\d)T(?=\d{2}:\d{2})", " à "),
    _rule(r"(?<=:\d{2})(?:\.\d{1,9})?Z\b", " temps universel"),
    _rule(r"(?<![\d/.-])(?P<day>\d{1,2})([/.-])(?P<month>\d{1,2})\2(?P<year>\d{4}|\d{2})(?![\d/])", _date),
    _rule(rf"(?P<before>\b{_DATE_BEFORE}) {_DAY_MONTH}(?! (?:du|des)\b| de (?!\d)| d')", _context_date),
    _rule(r"(?<![\d/,.])(?P<day>0\d|[12]\d|3[01])/(?P<month>0[1-9]|1[0-2])(?![\d/])(?<=/0\d)", _padded_date),
    _rule(r"\b(1er|\d{1,2}) (janv|févr|fév|avr|juil|sept|oct|nov|déc)(?:\.(?=[ ,;)])|(?=\.$))", _short_month),
    _rule(
        r"\b()(janv|févr|fév|avr|juil|sept|oct|nov|déc)\. ?(?=(?:19|20)\d{2}\b)", _short_month, re.IGNORECASE
    ),
    _rule(r"(?<![\d/])(0[1-9]|1[0-2])/((?:19|20)\d{2})(?![\d/])", _month_and_year),
    _rule(r"(?<![\d:])(?P<h>[01]?\d|2[0-4]):(?P<m>[0-5]\d):(?P<s>[0-5]\d)(?![\d:])", _clock),
    _rule(r"(?<![\d:])(?P<h>[01]?\d|2[0-4]):(?P<m>[0-5]\d)(?![\d:])", _clock),
    _rule(r"\b24 ?h ?/ ?24(?: ?h)?\b", "24 heures sur 24"),
    _rule(r"(?<![\d/])24 ?/ ?7(?![\d/])", "24 heures sur 24, 7 jours sur 7"),
    _rule(r"(?<![\d/])50 ?/ ?50(?![\d/])", "50 50"),
    _rule(r"\b7 ?j ?/ ?7(?: ?j)?\b", "7 jours sur 7"),
    _rule(r"\b(\d{1,2} ?h(?: ?\d{2})?) ?[-–/] ?(?=\d{1,2} ?h)", r"\1 à "),
    _rule(r"(?<=\dh[0-5]\d)(?=(?:min|mn)\b)", " "),
    _rule(r"(?<![\d'])(\d{1,3})'([0-5]\d)(?!\d)", r"\1 minutes \2"),
    _rule(r"(?<![\d,.])(?P<h>\d{1,3}) ?[hH](?: ?(?P<m>[0-5]\d))?(?![\w/])", _clock),
    # numbers with separators
    _rule(r"(?<![\d.,])[1-9]\d{0,2}(?: \d{3}){1,5}(?! ?\d)", _thousands),
    _rule(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3}){1,5}(?=,\d)", _thousands),
    _rule(rf"(?<![\d.,])[1-9]\d{{0,2}}\.\d{{3}}(?= ?{_MONEY}(?![\w/]| ?/)| (?:{_COUNTED})\b)", _thousands),
    _rule(r"(?<![\d.,])[1-9]\d{0,2}\.000(?![\d.,])", _thousands),
    _rule(r"(?<![\d.,'])[1-9]\d{0,2}(?:'\d{3}){1,5}(?![\d'])", _thousands),
    _rule(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3}){2,5}(?![\d.])", _thousands),
    _rule(r"(?<!\d)\d{13,}(?!\d)", _digits),
    _rule(
        r"(?<!\d)(?<!\d )([$£€]) ?(\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,2})?|\d{1,12}(?:[.,]\d{1,2})?)(?!\d)",
        _money_first,
    ),
    _rule(
        rf"(?<![\d.])(\d{{1,9}})\.(\d{{1,3}})(?= ?(?:%|millions?\b|milliards?\b|(?:{_UNIT}){_END}))", r"\1,\2"
    ),
    _rule(r"\b(millions?|milliards?) ?([€$£])", _millions),
    _rule(r"(?<![\d,])(\d{1,9})€(\d{2})(?!\d)", r"\1,\2 €"),
    _rule(r"(?<![\d,])(\d{1,6}) ?k€", r"\g<1>000 €"),
    # numbers with a name: n° 5, #5, v2.1, 75001 Paris
    _rule(r"\b[nN](?:°s?|o\.?) ?(?=\d)|\b[nN]° ?(?=[^\W_])", "numéro "),
    _rule(r"(?<!\w)#(?=\d)", "numéro "),
    _rule(r"(?<!\w)#(?=[^\W\d])", "hashtag "),
    _rule(r"\b([CF])#(?!\w)", r"\1 sharp"),
    _rule(r"\b([Dd]o|[Rr]é|[Mm]i|[Ff]a|[Ss]ol|[Ll]a|[Ss]i)#(?!\w)", r"\1 dièse"),
    _rule(r"(?<!slash )\b[vV]\.? ?(?=\d{1,4}(?:\.\d{1,4}){0,4}\b)", "version "),
    _rule(r"(?<![\d.,])(?:\d{1,5}(?:\.\d{1,5}){1,5})(?![\d,])(?!\.\d)", _version),
    _rule(r"(?<![\d.,-])(\d{2})(\d{3})(?= [A-ZÀ-Ý][a-zà-ÿ])", _postcode),
    _rule(r"(?<![\d.,-])(?<!€ )(\d{2})(0[0-9]{2})(?=$|[.,;:!?)](?!\d))", _postcode),
    # Roman numerals
    _rule(r"\b(?P<roman>[IVXLC]{1,7})(?=-[IVXLC]{1,7}(?:e|ème)s?\b)(?P<end>)", _roman_ordinal),
    _rule(r"\b(?P<roman>I)(?P<end>er|re|ère)s?\b", _roman_ordinal),
    _rule(r"\b(?P<roman>[ivxl]{1,6})(?P<end>er|e|ème)(?= siècle)", _roman_ordinal),
    _rule(r"\b(?P<roman>[IVXLC]{2,7}|[IVX])(?P<end>e|ème|ième)s?\b", _roman_ordinal),
    _rule(rf"\b(?P<name>(?:{_NAMES})) (?P<roman>[IVX]{{1,7}})(?=\b(?!['-]))", _roman_name),
    _rule(rf"\b(?P<name>(?i:{_PARTS})) (?P<roman>[IVX]{{1,7}}|[IVXLC]{{2,7}})(?=\b(?!'))", _roman_name),
    _rule(r"\b(?P<name>[A-ZÀ-Ý][a-zà-ÿ'-]{2,20}) (?P<roman>[IVX]{2,7})\b", _roman_name),
    _rule(r"(?<=\de)-(?=\d{1,3}e\b)", " "),
    _rule(r"\b([LRD])\. ?(\d{1,4})-(\d{1,4})\b", r"\1 \2 tiret \3"),
    _rule(r"\b([LRD])\. ?(?=\d)", r"\1 "),
    # signs
    _rule(r"(?<=[€$£%])(?:-| ?[–—] ?)(?=\d)", " à "),
    _rule(r"(?<=[Llh]) ?/ ?100 ?km\b", " aux 100 km"),
    _rule(r"(?<![\d/])((?:19|20)\d{2})/(?=(?:(?:19|20)\d{2})(?![\d/]))", r"\1 "),
    _rule(r" ?!= ?", " différent de "),
    _rule(r"(?<=[\w)])\^(?=[\w(])", " puissance "),
    _rule(r"(?<![\w,.)])(?:- ?|− ?)(?=\d)", "moins "),
    _rule(r"(?<=[\d)]) ?[–—] ?(?=\d)", " à "),
    _rule(r"(?<=\d) - (?=\d)", " moins "),
    _rule(r" ?± ?", " plus ou moins "),
    _rule(r"[~≈] ?(?=\d)", "environ "),
    _rule(rf"(?P<n>{_NUMBER}) ?(?P<u>{_UNIT})\.? ?/ ?(?P<per>{_PER_UNIT}){_END}", _unit),
    _rule(rf"\b(?P<u>hab|{_UNIT})\.? ?/ ?(?P<per>{_PER_UNIT}){_END}", _bare_rate),
    _rule(rf"(?<![\w,])(?P<n>{_NUMBER}) ?(?P<u>{_UNIT}){_END}", _unit),
    _rule(
        rf"(?<![\d,.])(\d{{1,9}}000000) (?!{_NOT_NOUNS})([a-zà-ÿœ]{{2,30}}[sxz])\b",
        lambda match: f"{match[1]} {_of(match[2])}",
    ),
    _rule(r"\b(?:kHz|MHz|GHz|Hz|kWh|Mo|Go|To|km|kg|cm)\b(?=[ .,;:!?)]|$)", _bare_unit),
    _rule(r" ?%", " pour cent"),
    _rule(r" ?‰", " pour mille"),
    _rule(r"²", " au carré"),
    _rule(r"³", " au cube"),
    _rule(
        r"(?<=[a-zé])/(?=(?:an|mois|jour|semaine|heure|personne|minute|seconde|trimestre|nuit)\b)", " par "
    ),
    _rule(r"(?<=page |tape |tion |rtie )(\d{1,6}) ?/ ?(\d{1,6})(?![\d/,])", r"\1 sur \2"),
    _rule(r"(?<![\d/,.])(\d{1,6}) ?/ ?(\d{1,6})(?![\d/,])", _fraction),
    _rule(r"\b(\d)m(\d{2})\b", r"\1 mètre \2"),
    _rule(r"\b1ers\b", "premiers"),
    _rule(r"\b1(?:res|ères)\b", "premières"),
    _rule(r"(?<![\d:])(\d{1,4}):(\d{1,4})(?![\d:])", r"\1 \2"),
    _rule(r"(?<=\d) ?½", " et demi"),
    _rule(r"½", "un demi"),
    _rule(r"¼", "un quart"),
    _rule(r"¾", "trois quarts"),
    _rule(r"\b4 ?[xX×] ?4\b(?! ?=)", "4 4"),
    _rule(r"(?<=\d) ?[x×*] ?(?=\d)", " fois "),
    _rule(r"\bx(?=(?:86|64)\b)", "x "),
    _rule(r"\bx(?=\d)|\bx (?=\d)(?!86|64)", "fois "),
    _rule(r" ?× ?", " fois "),
    _rule(r" ?÷ ?", " divisé par "),
    _rule(r" ?≠ ?", " différent de "),
    _rule(r" ?≤ ?", " inférieur ou égal à "),
    _rule(r" ?≥ ?", " supérieur ou égal à "),
    _rule(r" ?<= ?", " inférieur ou égal à "),
    _rule(r" ?>= ?", " supérieur ou égal à "),
    _rule(r" ?={1,3} ?", " égale "),
    _rule(r" ?< ?", " inférieur à "),
    _rule(r" ?> ?", " supérieur à "),
    _rule(r"\+\+", " plus plus"),
    _rule(r"(?<=\w) ?\+ ?(?=\w)", " plus "),
    _rule(r"(?<!\w)\+ ?(?=\w)", " plus "),
    _rule(r"(?<=\d)\+(?!\w)", " plus"),
    _rule(r"√ ?", "racine carrée de "),
    _rule(r"∞", " l'infini "),
    _rule(r"π", " pi "),
    # codes: FR02, MP3, B2B, 4G
    _rule(r"(?<![\w-])([A-Z]{1,4})(\d{1,8})([A-Z]{0,2})(?![\w])", _code),
    _rule(r"(?<![\w-])()(\d{1,4})([A-Z]{1,2})(?!\w)", _code),
    _rule(r"(?<=[A-ZÀ-Ý])-(?=\d)", " "),
    _rule(r"\b(\d{1,3})(?:es|èmes|ème|ième)\b", r"\1e"),
    _rule(r"\b2nde?\b|\b2ds?\b|\b2de\b", lambda match: "seconde" if match[0].endswith("e") else "second"),
]
