"""What Fish Audio answers about voices, read as hostile input: types are checked, nothing is believed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from voices.fish_errors import clean_text

MODEL_ID_LENGTH = 32
MAX_COUNT = 2_147_483_647
UNKNOWN_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


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
        title=clean_text(entry["title"]),
        type=clean_text(entry.get("type")) or "tts",
        description=clean_text(entry.get("description")),
        cover_image=clean_text(entry.get("cover_image")),
        train_mode=clean_text(entry.get("train_mode")) or "full",
        state=clean_text(entry.get("state")) or "trained",
        visibility=clean_text(entry.get("visibility")) or "public",
        tags=_texts(entry.get("tags")),
        languages=_texts(entry.get("languages")),
        samples=[sample for sample in map(_sample, _list(entry.get("samples"))) if sample],
        like_count=_count(entry.get("like_count")),
        mark_count=_count(entry.get("mark_count")),
        shared_count=_count(entry.get("shared_count")),
        task_count=_count(entry.get("task_count")),
        author_id=clean_text(author.get("_id")),
        author_nickname=clean_text(author.get("nickname")),
        author_avatar=clean_text(author.get("avatar")),
        default_text=clean_text(entry.get("default_text")),
        is_taken_down=entry.get("dmca_taken_down") is True,
        created_at=_moment(entry.get("created_at")),
        updated_at=_moment(entry.get("updated_at")),
    )


def is_model_id(value: object) -> bool:
    """Say whether the value has the form of a voice id: 32 lower-case hexadecimal digits."""
    return isinstance(value, str) and len(value) == MODEL_ID_LENGTH and not value.strip("0123456789abcdef")


def parse_page(answer: dict[str, Any], *, page_size: int, page_number: int) -> FishPage:
    """Return one page of the catalogue. Without `has_more` in the answer, `total` tells."""
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


def _sample(value: object) -> FishSample | None:
    if not isinstance(value, dict):
        return None
    return FishSample(
        clean_text(value.get("title")), clean_text(value.get("text")), clean_text(value.get("audio"))
    )


def _texts(value: object) -> list[str]:
    return [clean_text(item) for item in _list(value) if isinstance(item, str)]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _count(value: object) -> int:
    return min(max(0, value), MAX_COUNT) if isinstance(value, int) and not isinstance(value, bool) else 0


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        return UNKNOWN_MOMENT
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
