"""Fish Audio's management interface: voices and wallet over HTTP, with one error class per kind of refusal.

Nothing of what the service answers is trusted: sizes are bounded, types are checked, and an entry that does
not parse is counted instead of stopping a page. Speech itself is `tts.engines.fish`, which shares the errors.
Source: https://docs.fish.audio/api-reference.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Self

import httpx
from django.conf import settings

from fr02.errors import EngineBusy, EngineUnavailable
from voices import limiter
from voices.fish_errors import (
    FishConcurrency,
    FishError,
    FishForbidden,
    FishInvalid,
    FishNotConnected,
    FishNotFound,
    FishOutOfCredit,
    FishUnauthorized,
    FishUnavailable,
    error_from,
)
from voices.fish_models import FishModel, FishPage, FishSample, is_model_id, parse_model, parse_page

__all__ = [
    "FishClient",
    "FishConcurrency",
    "FishError",
    "FishForbidden",
    "FishInvalid",
    "FishModel",
    "FishNotConnected",
    "FishNotFound",
    "FishOutOfCredit",
    "FishPage",
    "FishRecording",
    "FishSample",
    "FishUnauthorized",
    "FishUnavailable",
    "error_from",
    "headers",
    "is_configured",
    "is_model_id",
    "parse_model",
    "refusal",
]

MAX_ANSWER_BYTES = 16 * 1024 * 1024
ATTEMPTS = 3
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
MAX_PAUSE_S = 10.0


@dataclass(frozen=True)
class FishRecording:
    """Carry one recording of the voice to clone."""

    name: str
    data: bytes
    content_type: str = "application/octet-stream"


def is_configured() -> bool:
    """Say whether the platform has a key for Fish Audio."""
    return bool(settings.FISH_API_KEY)


class FishClient:
    """Talk to the management interface, from synchronous code, over one pool of connections.

    Every call raises a FishError. Reads are made up to `attempts` times on overload and lost connections, waiting as
    long as the service asks for (10 s at most): 1 where a customer waits. Writes are repeated only when the connection
    could not be made. Each request holds one of the platform's upstream slots under the name of `account`
    (voices.limiter) and raises FishConcurrency when none is free. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        account: str = limiter.PLATFORM,
        timeout_s: float | None = None,
        attempts: int = ATTEMPTS,
    ):
        self.account = account
        self.attempts = attempts
        self.timeout_s = timeout_s or settings.FISH_MANAGEMENT_SECONDS
        self._http = httpx.Client(
            base_url=base_url or settings.FISH_BASE_URL,
            headers=headers(settings.FISH_API_KEY if api_key is None else api_key),
            timeout=httpx.Timeout(self.timeout_s, connect=settings.FISH_CONNECT_SECONDS),
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def list_models(
        self,
        *,
        page_size: int = 100,
        page_number: int = 1,
        title: str | None = None,
        tag: str | Sequence[str] | None = None,
        language: str | Sequence[str] | None = None,
        title_language: str | Sequence[str] | None = None,
        author_id: str | None = None,
        is_own: bool = False,
        sort_by: str = "score",
    ) -> FishPage:
        """Return one page of the catalogue: `page_size` 1 to 100, `sort_by` score|task_count|created_at."""
        parameters = {
            "page_size": page_size,
            "page_number": page_number,
            "title": title,
            "tag": tag,
            "language": language,
            "title_language": title_language,
            "author_id": author_id,
            "self": "true" if is_own else None,
            "sort_by": sort_by,
        }
        given = {name: value for name, value in parameters.items() if value is not None}
        answer = _as_object(self._request("GET", "/model", params=given))
        return parse_page(answer, page_size=page_size, page_number=page_number)

    def get_model(self, model_id: str) -> FishModel:
        """Return one voice; raises FishNotFound and FishForbidden."""
        return _model_or_error(self._request("GET", f"/model/{_checked(model_id)}"))

    def create_model(
        self,
        *,
        title: str,
        recordings: Sequence[FishRecording],
        texts: Sequence[str] = (),
        description: str = "",
        tags: Sequence[str] = (),
        visibility: str = "private",
        cover_image: FishRecording | None = None,
        is_enhanced: bool = True,
    ) -> FishModel:
        """Clone a voice from 1 to 20 recordings and return it, often not trained yet: follow `state`."""
        files = [("voices", (item.name, item.data, item.content_type)) for item in recordings]
        if cover_image:
            files.append(("cover_image", (cover_image.name, cover_image.data, cover_image.content_type)))
        data: dict[str, Any] = {
            "type": "tts",
            "train_mode": "fast",
            "title": title,
            "visibility": visibility,
            "description": description,
            "texts": list(texts),
            "tags": list(tags),
            "enhance_audio_quality": "true" if is_enhanced else "false",
        }
        return _model_or_error(self._request("POST", "/model", data=data, files=files))

    def update_model(
        self,
        model_id: str,
        *,
        title: str | None = None,
        description: str | None = None,
        visibility: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        """Change what is given and keep the rest. `visibility` is public|unlist|private."""
        changes = {"title": title, "description": description, "visibility": visibility, "tags": tags}
        body = {name: value for name, value in changes.items() if value is not None}
        self._request("PATCH", f"/model/{_checked(model_id)}", json=body)

    def delete_model(self, model_id: str) -> None:
        """Delete one of the platform's voices; raises FishNotFound when it is already gone."""
        self._request("DELETE", f"/model/{_checked(model_id)}")

    def get_credit(self) -> Decimal:
        """Return what the API wallet holds, in US dollars. A free check of the key."""
        answer = _as_object(self._request("GET", "/wallet/self/api-credit"))
        try:
            credit = Decimal(str(answer["credit"]))
        except (KeyError, InvalidOperation):
            raise FishUnavailable("the wallet's answer has no credit") from None
        if not credit.is_finite():
            raise FishUnavailable("the wallet's answer has no credit")
        return credit

    def _request(self, method: str, path: str, **arguments: Any) -> bytes:
        for attempt in range(1, self.attempts + 1):
            try:
                return self._request_once(method, path, arguments)
            except FishError as error:
                if attempt == self.attempts or not _is_worth_repeating(method, error):
                    raise
                time.sleep(min(MAX_PAUSE_S, error.retry_after_s or 0.25 * 2**attempt))
        raise AssertionError("unreachable")

    def _request_once(self, method: str, path: str, arguments: dict[str, Any]) -> bytes:
        # httpx limits each wait; one for the sending and one for the answer is as long as it takes.
        lease_s = settings.FISH_CONNECT_SECONDS + 2 * self.timeout_s
        slot = limiter.acquire(account=self.account, lease_s=lease_s)
        if slot is None:
            raise FishConcurrency("every upstream slot of the platform is taken", retry_after_s=1.0)
        try:
            with self._http.stream(method, path, **arguments) as response:
                body = _bounded_body(response, time.monotonic() + self.timeout_s)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise FishNotConnected(f"no connection: {error}") from error
        except httpx.HTTPError as error:
            raise FishUnavailable(f"{type(error).__name__}: {error}") from error
        finally:
            limiter.release(slot=slot)
        if response.is_success:
            return body
        raise error_from(response.status_code, response.headers, body)


def refusal(error: FishError) -> EngineBusy | EngineUnavailable:
    """Return what a customer is told who waits for Fish Audio: busy when our own slots are taken."""
    is_ours = isinstance(error, FishConcurrency) and not error.status
    return EngineBusy(retry_after_s=error.retry_after_s) if is_ours else EngineUnavailable()


def headers(api_key: str) -> dict[str, str]:
    """Return the headers of every request. An own server may need no key."""
    known = {"User-Agent": "FR02", "Accept-Encoding": "identity"}
    return known | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def _model_or_error(body: bytes) -> FishModel:
    model = parse_model(_as_object(body))
    if model is None:
        raise FishUnavailable("the answer is not a voice")
    return model


def _is_worth_repeating(method: str, error: FishError) -> bool:
    if isinstance(error, FishNotConnected):
        return True
    if method != "GET":
        return False
    is_lost = isinstance(error, FishConcurrency | FishUnavailable) and not error.status
    return is_lost or error.status in RETRIED_STATUSES


def _bounded_body(response: httpx.Response, until: float) -> bytes:
    body = bytearray()
    for part in response.iter_raw():
        body += part
        if time.monotonic() > until:
            raise FishUnavailable("the answer trickles in", status=response.status_code)
        if len(body) > MAX_ANSWER_BYTES:
            raise FishUnavailable(
                f"the answer is longer than {MAX_ANSWER_BYTES} bytes", status=response.status_code
            )
    return bytes(body)


def _as_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise FishUnavailable("the answer is not JSON") from None
    if not isinstance(value, dict):
        raise FishUnavailable("the answer is not a JSON object")
    return value


def _checked(model_id: str) -> str:
    if not is_model_id(model_id):
        raise FishNotFound("not a voice id", status=404)
    return model_id
