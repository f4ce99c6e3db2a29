"""Correct the spelling of a search by the words of the catalogue."""

from django.db import connection

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SHORTEST, LONGEST = 4, 32
# From this length on, two mistakes are looked for too, among the words that share enough trigrams.
LONG_WORD = 6
CANDIDATES = 50
# So many corrections are tried.
MOST = 3


def corrections(asked: list[str]) -> list[list[str]]:
    """Return what may have been meant, the likeliest first: the words with each unknown one replaced by a known one
    that is near enough. Empty where nothing is.
    """
    near = [_nearest(word) for word in asked]
    return [
        [words[min(rank, len(words) - 1)] if words else word for word, words in zip(asked, near, strict=True)]
        for rank in range(max(map(len, near), default=0))
    ]


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


def _nearest(word: str) -> list[str]:
    """Return the most frequent words at one mistake, else the nearest at two. None for words known or
    hopeless.
    """
    if not SHORTEST <= len(word) <= LONGEST:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM community_word WHERE word LIKE %s LIMIT 1", [f"{word}%"])
        if cursor.fetchone():
            return []
        cursor.execute(
            "SELECT word FROM community_word WHERE word = ANY(%s) ORDER BY frequency DESC, word LIMIT %s",
            [sorted(one_mistake_away(word)), MOST],
        )
        if (found := cursor.fetchall()) or len(word) < LONG_WORD:
            return [known for (known,) in found]
        cursor.execute(
            "SELECT word, frequency FROM community_word WHERE word %% %s AND length(word) BETWEEN %s AND %s"
            " ORDER BY similarity(word, %s) DESC, frequency DESC LIMIT %s",
            [word, len(word) - 2, len(word) + 2, word, CANDIDATES],
        )
        candidates = cursor.fetchall()
    near = sorted((distance(word, other), -frequency, other) for other, frequency in candidates)
    return [other for mistakes, _frequency, other in near if mistakes <= 2][:MOST]
