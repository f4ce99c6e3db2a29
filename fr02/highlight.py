"""Colour Python source for a page, with no script in the browser: the text stays the same, to the letter."""

import builtins
import io
import keyword
import tokenize

KINDS = {tokenize.COMMENT: "comment", tokenize.STRING: "string", tokenize.NUMBER: "number"}


def highlight_python(source: str) -> list[tuple[str, str]]:
    """Return (kind, text) pairs whose texts, joined, are the source. Plain text has the kind ''."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    pieces: list[tuple[str, str]] = []
    done, previous = 0, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = KINDS.get(token.type) or _kind_of_name(token, previous)
        if token.string.strip():
            previous = token.string
        if not kind:
            continue
        start = starts[token.start[0] - 1] + token.start[1]
        end = starts[token.end[0] - 1] + token.end[1]
        pieces += [("", source[done:start]), (kind, source[start:end])]
        done = end
    pieces.append(("", source[done:]))
    return [piece for piece in pieces if piece[1]]


def _kind_of_name(token: tokenize.TokenInfo, previous: str) -> str:
    if token.type != tokenize.NAME:
        return ""
    if keyword.iskeyword(token.string):
        return "keyword"
    is_named_here = previous in ("def", "class")
    return "name" if is_named_here or (previous != "." and hasattr(builtins, token.string)) else ""
