"""Written French to what a reader says aloud."""

import threading

from damga import TextNormalizer

_LOCK = threading.Lock()
_DAMGA: list[TextNormalizer] = []


def normalise(text: str) -> str:
    with _LOCK:
        if not _DAMGA:
            _DAMGA.append(TextNormalizer(lang="fr"))
        return _DAMGA[0].normalize(text)
