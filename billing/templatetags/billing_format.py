"""Write amounts as French readers expect them."""

from django import template

from fr02.typography import NARROW_SPACE, NO_BREAK_SPACE, number

register = template.Library()
register.filter("number", number)


@register.filter
def euros(micros: int) -> str:
    """Return an amount of micro-euros as euros: two decimals, or up to six where cents would hide it."""
    sign = "−" if micros < 0 else ""
    whole, rest = divmod(abs(int(micros)), 1_000_000)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{f'{whole:,}'.replace(',', NARROW_SPACE)},{decimals}{NO_BREAK_SPACE}€"


@register.filter
def signed_euros(micros: int) -> str:
    """Return an amount with its sign, plus included."""
    return ("+" if micros > 0 else "") + euros(micros)
