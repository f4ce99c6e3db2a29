"""Write numbers as French readers expect them."""

NARROW_SPACE = "\u202f"
NO_BREAK_SPACE = "\u00a0"


def number(value: int) -> str:
    """Return a whole number with narrow spaces between thousands."""
    return f"{int(value):,}".replace(",", NARROW_SPACE)
