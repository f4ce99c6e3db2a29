"""Count what is free but costs the server something: so many a minute, in each process."""

from django.core.cache import cache

from fr02.errors import RateLimited
from fr02.quota import Quota


def count_in_minute(who: str, *, name: str, limit: int, detail: str) -> None:
    """Count one more of `name` for `who`. Raises RateLimited with `detail` beyond `limit` in this minute."""
    key = f"{name}:{who}"
    cache.add(key, 0, 60)
    try:
        count = cache.incr(key)
    except ValueError:  # the minute ended between the two lines
        return
    if count > limit:
        raise RateLimited(detail, retry_after_s=60, quota=Quota(name, limit, 0, 60, 60))
