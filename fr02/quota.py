"""What a limit leaves its customer, told in two header fields.

The fields are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` names the limit, `RateLimit` says
what is left of it.
"""

import math
from dataclasses import dataclass

from django.http import HttpResponseBase


@dataclass(frozen=True)
class Quota:
    """One limit as it stands. All of it is there again in `reset_s` seconds.

    `window_s` is the time in which `limit` requests may be made; None when so many may run at the same time.
    """

    name: str
    limit: int
    remaining: int
    reset_s: float
    window_s: int | None = None

    def tell(self, response: HttpResponseBase) -> None:
        """Write it into the header of an answer."""
        measure = 'qu="concurrent-requests"' if self.window_s is None else f"w={self.window_s}"
        response["RateLimit-Policy"] = f'"{self.name}";q={self.limit};{measure}'
        response["RateLimit"] = (
            f'"{self.name}";r={max(0, self.remaining)};t={max(0, math.ceil(self.reset_s))}'
        )
