"""Text to the phonemes Kokoro knows, and those to its numbers."""

import re
import threading

import espeakng_loader
from phonemizer.backend import EspeakBackend
from phonemizer.backend.espeak.wrapper import EspeakWrapper

SAMPLE_LANGUAGE = "fr-fr"
PUNCTUATION = ';:,.!?—…"()“”'

# Symbol -> number of the published Kokoro-82M configuration ("vocab"); 0 pads both ends, gaps are unused
# numbers.
_RUNS = (
    (1, ";:,.!?"),
    (9, '—…"()“” \u0303ʣʥʦʨᵝ\uab67AI'),
    (31, "O"),
    (33, "Q"),
    (35, "ST"),
    (39, "W"),
    (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"),
    (75, "βɔɕç"),
    (80, "ɖðʤə"),
    (85, "ɚɛɜ"),
    (90, "ɟ"),
    (92, "ɡ"),
    (99, "ɥ"),
    (101, "ɨɪʝ"),
    (110, "ɯɰŋɳɲɴø"),
    (118, "ɸθœ"),
    (123, "ɹ"),
    (125, "ɾɻ"),
    (128, "ʁɽʂʃʈʧ"),
    (135, "ʊʋ"),
    (138, "ʌɣɤ"),
    (142, "χʎ"),
    (147, "ʒʔ"),
    (156, "ˈˌː"),
    (162, "ʰ"),
    (164, "ʲ"),
    (169, "↓"),
    (171, "→↗↘"),
    (177, "ᵻ"),
)
VOCABULARY = {symbol: first + offset for first, symbols in _RUNS for offset, symbol in enumerate(symbols)}

# Scripts that French espeak would only name ("lettre chinoise"): spoken in their own language instead.
_SCRIPTS = (
    ("ru", "\u0400-\u052f"),
    ("el", "\u0370-\u03ff\u1f00-\u1fff"),
    ("he", "\u0590-\u05ff"),
    ("ar", "\u0600-\u06ff\u0750-\u077f"),
    ("hi", "\u0900-\u097f"),
    ("ko", "\u1100-\u11ff\uac00-\ud7a3"),
    ("ja", "\u3040-\u30ff"),
    ("cmn", "\u4e00-\u9fff\u3400-\u4dbf"),
)
_FOREIGN = re.compile("|".join(f"(?P<{code}>[{chars}]+(?: [{chars}]+)*)" for code, chars in _SCRIPTS))
_BACKENDS: dict[str, EspeakBackend] = {}
_LOCK = threading.Lock()  # espeak-ng keeps one global state per process


def phonemize(text: str, language: str = SAMPLE_LANGUAGE) -> str:
    """Return the phonemes of speakable text, only symbols of the vocabulary.

    Thread-safe, about 1 ms per sentence.
    """
    parts: list[str] = []
    end = 0
    with _LOCK:
        for match in _FOREIGN.finditer(text):
            parts.append(_speak(text[end : match.start()], language))
            parts.append(_speak(match.group(), match.lastgroup or language))
            end = match.end()
        parts.append(_speak(text[end:], language))
    joined = "".join(symbol for symbol in " ".join(parts) if symbol in VOCABULARY)
    return re.sub(r" +(?=[;:,.!?…]| |$)", "", joined).strip()


def tokens_of(phonemes: str) -> list[int]:
    """Return the vocabulary numbers of a phoneme string, without padding."""
    return [VOCABULARY[symbol] for symbol in phonemes if symbol in VOCABULARY]


def _speak(text: str, language: str) -> str:
    if not text.strip():
        return ""
    spoken = _backend(language).phonemize([text], strip=False)
    return spoken[0] if spoken else ""


def _backend(language: str) -> EspeakBackend:
    if language not in _BACKENDS:
        EspeakWrapper.set_library(espeakng_loader.get_library_path())
        EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
        _BACKENDS[language] = EspeakBackend(
            language,
            punctuation_marks=PUNCTUATION,
            preserve_punctuation=True,
            with_stress=True,
            language_switch="remove-flags",
            words_mismatch="ignore",
        )
    return _BACKENDS[language]
