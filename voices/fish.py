"""Fish Audio's management interface: voices and wallet over HTTP, with one error class per kind of refusal.

Nothing of what the service answers is trusted: sizes are bounded, types are checked, and an entry that does
not parse is counted instead of stopping a page. Speech itself is `tts.engines.fish`, which shares the errors.
Source: https://docs.fish.audio/api-reference.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Self

import httpx
from django.conf import settings

from voices import limiter

MODEL_ID_LENGTH = 32
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_MESSAGE_CHARACTERS = 500
ATTEMPTS = 3
RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
MAX_PAUSE_S = 10.0
UNKNOWN_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


class FishError(Exception):
    """Stand for every way Fish Audio can refuse or fail. `status` is 0 when no answer came."""

    def __init__(self, message: str, *, status: int = 0, retry_after_s: float | None = None):
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s


class FishUnauthorized(FishError):
    """The platform's key is missing, wrong or revoked (401)."""


class FishOutOfCredit(FishError):
    """The platform's API wallet is empty (402). Platform credit is another wallet and does not help."""


class FishForbidden(FishError):
    """The voice belongs to somebody else and is private (403)."""


class FishNotFound(FishError):
    """There is no such voice (404, or 400 `Reference not found` on speech)."""


class FishConcurrency(FishError):
    """More requests are in flight than the platform's account may have (429)."""


class FishInvalid(FishError):
    """The request is not acceptable (400, 413, 422); the message says why, in English."""


class FishUnavailable(FishError):
    """The service is overloaded, unreachable, too slow, or answers what it should not."""


@dataclass(frozen=True)
class FishSample:
    """Point to a recording of the voice, with the words that it says."""

    title: str
    text: str
    audio: str


@dataclass(frozen=True)
class FishModel:
    """Describe a voice as Fish Audio shows it. Its texts are hostile.

    `state` is created|training|trained|failed, `visibility` public|unlist|private.
    """

    id: str
    title: str
    type: str = "tts"
    description: str = ""
    cover_image: str = ""
    train_mode: str = "fast"
    state: str = "trained"
    visibility: str = "public"
    tags: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    samples: list[FishSample] = field(default_factory=list)
    like_count: int = 0
    mark_count: int = 0
    shared_count: int = 0
    task_count: int = 0
    author_id: str = ""
    author_nickname: str = ""
    author_avatar: str = ""
    default_text: str = ""
    is_taken_down: bool = False
    created_at: datetime = UNKNOWN_MOMENT
    updated_at: datetime = UNKNOWN_MOMENT


@dataclass(frozen=True)
class FishPage:
    """Hold one page of the catalogue.

    One query shows about 1,000 entries whatever their number: then `is_window_limited` is true and `total` is
    not the whole. `malformed_count` counts entries that could not be read.
    """

    items: list[FishModel]
    total: int
    has_more: bool
    is_window_limited: bool = False
    is_total_exact: bool = True
    accessible_upper_bound: int | None = None
    malformed_count: int = 0


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

    Every call raises a FishError. Reads are repeated twice on overload and lost connections, waiting as long
    as the service asks for (10 s at most); writes only when the connection could not be made. With `account`,
    each request holds one of the platform's upstream slots under that name (voices.limiter) and raises
    FishConcurrency when none is free. Use it as a context manager, or close it.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        account: str = "",
        timeout_s: float | None = None,
    ):
        self.account = account
        self._http = httpx.Client(
            base_url=base_url or settings.FISH_BASE_URL,
            headers=headers(settings.FISH_API_KEY if api_key is None else api_key),
            timeout=httpx.Timeout(
                timeout_s or settings.FISH_MANAGEMENT_SECONDS, connect=settings.FISH_CONNECT_SECONDS
            ),
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
        return _page(answer, page_size=page_size, page_number=page_number)

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
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._request_once(method, path, arguments)
            except FishError as error:
                if attempt == ATTEMPTS or not _is_worth_repeating(method, error):
                    raise
                time.sleep(min(MAX_PAUSE_S, error.retry_after_s or 0.25 * 2**attempt))
        raise AssertionError("unreachable")

    def _request_once(self, method: str, path: str, arguments: dict[str, Any]) -> bytes:
        slot = limiter.acquire(account=self.account) if self.account else None
        if self.account and slot is None:
            raise FishConcurrency("every upstream slot of the platform is taken", retry_after_s=1.0)
        try:
            with self._http.stream(method, path, **arguments) as response:
                body = _bounded_body(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _NotConnected(f"no connection: {error}") from error
        except httpx.HTTPError as error:
            raise FishUnavailable(f"{type(error).__name__}: {error}") from error
        finally:
            if slot is not None:
                limiter.release(slot=slot)
        if response.is_success:
            return body
        raise error_from(response.status_code, response.headers, body)


class _NotConnected(FishUnavailable):
    """Nothing was sent: even a write may be repeated."""


def headers(api_key: str) -> dict[str, str]:
    """Return the headers of every request. An own server may need no key."""
    known = {"User-Agent": "FR02", "Accept-Encoding": "identity"}
    return known | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def error_from(status: int, answer_headers: httpx.Headers, body: bytes) -> FishError:
    """Return the error that an answer stands for: an object with `message`, an array (422) or plain text."""
    message = _message(body) or f"status {status}"
    after_s = _retry_after_s(answer_headers.get("retry-after"))
    kind: type[FishError]
    if status in _KINDS:
        kind = _KINDS[status]
    elif status == 400 and message.startswith("Reference not found"):
        kind = FishNotFound
    elif 400 <= status < 500:
        kind = FishInvalid
    else:
        kind = FishUnavailable
    return kind(message, status=status, retry_after_s=after_s)


_KINDS: dict[int, type[FishError]] = {
    401: FishUnauthorized,
    402: FishOutOfCredit,
    403: FishForbidden,
    404: FishNotFound,
    408: FishUnavailable,
    429: FishConcurrency,
}


def parse_model(entry: object) -> FishModel | None:
    """Return one entry of the catalogue, or None when it is not one."""
    if (
        not isinstance(entry, dict)
        or not is_model_id(entry.get("_id"))
        or not isinstance(entry.get("title"), str)
    ):
        return None
    found_author = entry.get("author")
    author: dict[str, Any] = found_author if isinstance(found_author, dict) else {}
    return FishModel(
        id=entry["_id"],
        title=entry["title"],
        type=_text(entry.get("type")) or "tts",
        description=_text(entry.get("description")),
        cover_image=_text(entry.get("cover_image")),
        train_mode=_text(entry.get("train_mode")) or "full",
        state=_text(entry.get("state")) or "trained",
        visibility=_text(entry.get("visibility")) or "public",
        tags=_texts(entry.get("tags")),
        languages=_texts(entry.get("languages")),
        samples=[sample for sample in map(_sample, _list(entry.get("samples"))) if sample],
        like_count=_count(entry.get("like_count")),
        mark_count=_count(entry.get("mark_count")),
        shared_count=_count(entry.get("shared_count")),
        task_count=_count(entry.get("task_count")),
        author_id=_text(author.get("_id")),
        author_nickname=_text(author.get("nickname")),
        author_avatar=_text(author.get("avatar")),
        default_text=_text(entry.get("default_text")),
        is_taken_down=entry.get("dmca_taken_down") is True,
        created_at=_moment(entry.get("created_at")),
        updated_at=_moment(entry.get("updated_at")),
    )


def is_model_id(value: object) -> bool:
    """Say whether the value has the form of a voice id: 32 lower-case hexadecimal digits."""
    return isinstance(value, str) and len(value) == MODEL_ID_LENGTH and not value.strip("0123456789abcdef")


def _page(answer: dict[str, Any], *, page_size: int, page_number: int) -> FishPage:
    entries = _list(answer.get("items"))
    models = [model for model in map(parse_model, entries) if model]
    total = _count(answer.get("total"))
    said = answer.get("has_more")
    return FishPage(
        items=models,
        total=total,
        has_more=said if isinstance(said, bool) else bool(entries) and page_size * page_number < total,
        is_window_limited=answer.get("window_limited") is True,
        is_total_exact=answer.get("total_is_exact") is not False,
        accessible_upper_bound=_count(answer.get("accessible_upper_bound")) or None,
        malformed_count=len(entries) - len(models),
    )


def _model_or_error(body: bytes) -> FishModel:
    model = parse_model(_as_object(body))
    if model is None:
        raise FishUnavailable("the answer is not a voice")
    return model


def _is_worth_repeating(method: str, error: FishError) -> bool:
    if isinstance(error, _NotConnected):
        return True
    if method != "GET":
        return False
    return error.status in RETRIED_STATUSES or (
        isinstance(error, FishConcurrency | FishUnavailable) and not error.status
    )


def _bounded_body(response: httpx.Response) -> bytes:
    body = bytearray()
    for part in response.iter_raw():
        body += part
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


def _message(body: bytes) -> str:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body[:MAX_MESSAGE_CHARACTERS].decode(errors="replace").strip()
    if isinstance(value, dict):
        return _text(value.get("message") or value.get("detail"))[:MAX_MESSAGE_CHARACTERS]
    if isinstance(value, list):
        return "; ".join(_field_error(item) for item in value[:20] if isinstance(item, dict))[
            :MAX_MESSAGE_CHARACTERS
        ]
    return _text(value)[:MAX_MESSAGE_CHARACTERS]


def _field_error(item: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in _list(item.get("loc")))
    return f"{place}: {_text(item.get('msg'))}"


def _retry_after_s(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _sample(value: object) -> FishSample | None:
    if not isinstance(value, dict):
        return None
    return FishSample(_text(value.get("title")), _text(value.get("text")), _text(value.get("audio")))


def _text(value: object) -> str:
    # PostgreSQL keeps no NUL, and a lone surrogate cannot be written at all.
    return value.replace("\0", "").encode(errors="replace").decode() if isinstance(value, str) else ""


def _texts(value: object) -> list[str]:
    return [_text(item) for item in _list(value) if isinstance(item, str)]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        return UNKNOWN_MOMENT
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
