"""Correct the spelling of a search by the words of the catalogue."""

from django.db import connection

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST, LONGEST = 4, 32
# From this length on, two mistakes are looked for too, among the words that share enough trigrams.
LONG_WORD = 6
CANDIDATES = 50


def corrected(asked: list[str]) -> list[str]:
    """Return the words with each unknown one replaced by the nearest known one, if there is one near
    enough.
    """
    return [_nearest(word) or word for word in asked]


def distance(left: str, right: str) -> int:
    """Return how many letters to change, add, drop, or swap with the next (optimal string alignment)."""
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            cost = min(
                previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (letter != other)
            )
            if row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, previous = previous, current
    return previous[-1]


def one_mistake_away(word: str) -> set[str]:
    """Return what the word may have been before one letter was dropped, added, changed or swapped with the
    next.
    """
    halves = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    dropped = {left + right[1:] for left, right in halves if right}
    swapped = {left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1}
    changed = {left + letter + right[1:] for left, right in halves if right for letter in LETTERS}
    added = {left + letter + right for left, right in halves for letter in LETTERS}
    return (dropped | swapped | changed | added) - {word}


def _nearest(word: str) -> str | None:
    """Return the most frequent word at one mistake, else the nearest at two. None for words known or
    hopeless.
    """
    if not SHORTEST <= len(word) <= LONGEST:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM community_word WHERE word LIKE %s LIMIT 1", [f"{word}%"])
        if cursor.fetchone():
            return None
        cursor.execute(
            "SELECT word FROM community_word WHERE word = ANY(%s) ORDER BY frequency DESC, word LIMIT 1",
            [sorted(one_mistake_away(word))],
        )
        if (found := cursor.fetchone()) or len(word) < LONG_WORD:
            return found[0] if found else None
        cursor.execute(
            "SELECT word, frequency FROM community_word WHERE word %% %s AND length(word) BETWEEN %s AND %s"
            " ORDER BY similarity(word, %s) DESC, frequency DESC LIMIT %s",
            [word, len(word) - 2, len(word) + 2, word, CANDIDATES],
        )
        candidates = cursor.fetchall()
    near = [(distance(word, other), -frequency, other) for other, frequency in candidates]
    best = min(near, default=None)
    return best[2] if best and best[0] <= 2 else None
