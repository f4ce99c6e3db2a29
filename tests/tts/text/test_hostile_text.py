"""No text may stall a worker: 10,000 characters of anything are cut and read within two seconds."""

import random
import threading
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.text.normalise import normalise
from tts.text.segments import split_text

LIMIT_S = 2.0
ATOMS = (
    "a 1 é \ud800 a\u0301 👨‍👩‍👧 1, 1. / 1/ - * _ [ ( < </ a@ @ M. € 1€ 1€/ h 1h IV X XIVe n° # … ! ...",
    "& &amp; 你 ش ' \" 0 00 1: + = × | |--- ` ~~ 12/ 12/05/ 2024- a.b a. A1 v1. 1e p. http://",
    "www. [a]( 1\u202f000 § ½ °C k€ Mo/s",
    "\x00 \u200b \u0300",
)
PATTERNS = [
    *" ".join(ATOMS).split(" "),
    " ",
    "\n",
    "\n\n",
    " \n",
    "1 ",
    "01 ",
    "a ",
    "<a ",
    "L. 1",
    "de la ",
    "- ",
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=ascii)
def test_repeated_patterns_are_read_in_time(pattern):
    text = (pattern * 10_000)[:10_000]
    started = perf_counter()
    spoken = [normalise(segment) for segment in split_text(text)]
    normalise(text)
    assert perf_counter() - started < LIMIT_S
    assert all(isinstance(sentence, str) for sentence in spoken)


def test_mixed_patterns_are_read_in_time():
    shuffled = random.Random(7)
    for _ in range(10):
        text = "".join(shuffled.choice(PATTERNS) for _ in range(10_000))[:10_000]
        started = perf_counter()
        for segment in split_text(text):
            normalise(segment)
        assert perf_counter() - started < LIMIT_S


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_is_read_without_an_error(text):
    spoken = normalise(text)
    spoken.encode()  # no lone surrogate is left for espeak
    assert "\n" not in spoken


def test_threads_read_alike():
    written = [f"Le {day} mai à 15 h {day:02d}, 1 234,5{day % 10} €." for day in range(1, 29)]
    expected = [normalise(sentence) for sentence in written]
    answers: list[list[str]] = []

    def read() -> None:
        answers.append([normalise(sentence) for sentence in written])

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 6
