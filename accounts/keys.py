"""Make and recognise secrets: API keys and stream tickets.

A key is `fr02_<live|test>_<43 base62 characters of 32 random bytes><6 base62 characters of CRC-32>`. The checksum
refuses typing errors and garbage before the database is asked; the digest is HMAC-SHA-256 under a pepper, looked up by
an index, so no comparison in Python can leak its timing. A slow password hash would add nothing at 256 bits.
"""

import hashlib
import hmac
import re
import secrets
import zlib

from django.conf import settings

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PATTERN = re.compile(r"fr02_(live|test)_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)
MAX_LENGTH = 128


def generate_key(mode: str = "live") -> str:
    """Return a new key in clear. It is shown once and never kept."""
    body = f"fr02_{mode}_{_base62(int.from_bytes(secrets.token_bytes(32)), 43)}"
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Tell whether a text has the shape and the checksum of a key."""
    if len(key) > MAX_LENGTH or not PATTERN.fullmatch(key):
        return False
    return hmac.compare_digest(_checksum(key[:-6]), key[-6:])


def digest(secret: str, pepper_version: int | None = None) -> bytes:
    """Return the 32 bytes under which a secret is kept."""
    pepper = settings.API_KEY_PEPPERS[pepper_version or settings.API_KEY_PEPPER_VERSION]
    return hmac.digest(pepper.encode(), secret.encode(), hashlib.sha256)


def digests(secret: str) -> list[bytes]:
    """Return the digests of a secret under every living pepper, the newest first."""
    return [digest(secret, version) for version in sorted(settings.API_KEY_PEPPERS, reverse=True)]


def hint(key: str) -> str:
    """Return what a key is recognised by in lists: its prefix and its last four characters."""
    return f"{key[:10]}…{key[-4:]}"


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), 6)


def _base62(number: int, width: int) -> str:
    letters = []
    for _ in range(width):
        number, rest = divmod(number, 62)
        letters.append(ALPHABET[rest])
    return "".join(reversed(letters))
