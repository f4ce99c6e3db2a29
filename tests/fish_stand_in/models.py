"""`/model`: the catalogue, and the voices that accounts clone."""

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fish_stand_in.bodies import Form, parse_form
from tests.fish_stand_in.catalogue import WINDOW, Catalogue, model_entity, shown
from tests.fish_stand_in.state import State
from tests.fish_stand_in.validation import MIN_AUDIO_BYTES, Refusal
from tests.fish_stand_in.wire import Exchange, Request

SORTS = ("score", "task_count", "created_at")
VISIBILITIES = ("public", "unlist", "private")


@dataclass
class Clone:
    """A voice made by an account, trained a moment later or failed."""

    key: str
    entity: dict[str, Any]
    trained_at: float
    is_failing: bool = False
    recordings: list[bytes] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """Return the voice in its present state: created, training, then trained or failed."""
        left_s, now = self.trained_at - time.monotonic(), datetime.now(UTC).isoformat()
        if left_s <= 0:
            state = "failed" if self.is_failing else "trained"
        else:
            state = "training" if self.entity["state"] in ("created", "training") else self.entity["state"]
        if state != self.entity["state"]:
            self.entity |= {"state": state, "updated_at": now}
        return self.entity


class Models:
    """Every voice the stand-in knows."""

    def __init__(self, catalogue: Catalogue, state: State):
        self.catalogue, self.state = catalogue, state
        self.clones: dict[str, Clone] = {}

    def knows(self, voice_id: str, key: str) -> bool:
        """Say whether the key may speak with the voice."""
        clone = self.clones.get(voice_id)
        if clone is not None:
            is_allowed = clone.key == key or clone.entity["visibility"] != "private"
            return is_allowed and clone.shown()["state"] == "trained"
        return voice_id in self.catalogue.entries

    async def handle(self, exchange: Exchange, key: str) -> None:
        """Answer a request under /model."""
        request = exchange.request
        voice_id = request.path.removeprefix("/model").strip("/")
        if not voice_id and request.method == "GET":
            await exchange.answer_json(200, self._list(request, key, _base_url(request)))
        elif not voice_id and request.method == "POST":
            await exchange.answer_json(201, self._create(parse_form(request), key))
        elif request.method == "GET":
            await exchange.answer_json(200, self._get(voice_id, key, _base_url(request)))
        elif request.method == "PATCH":
            self._update(self._own(voice_id, key), parse_form(request))
            await exchange.answer_json(200, {})
        elif request.method == "DELETE":
            self._own(voice_id, key)
            del self.clones[voice_id]
            status = self.state.switches.delete_status
            await exchange.answer(status, b"" if status == 204 else b"{}")
        else:
            raise Refusal(405, "Method Not Allowed")

    def _list(self, request: Request, key: str, base_url: str) -> dict[str, Any]:
        size, number = _number(request, "page_size", 10, 1, 100), _number(request, "page_number", 1, 1, 10**9)
        sort_by = request.value("sort_by", "score")
        if sort_by not in SORTS:
            raise _field_error("sort_by", f"Input should be {SORTS}", "query")
        start = (number - 1) * size
        if request.value("self") == "true":
            own = [clone.shown() for clone in self.clones.values() if clone.key == key]
            items = own[start : start + size]
            return _page(items, total=len(own), reachable=len(own), end=start + size)
        found, count = self.catalogue.find(
            languages=request.values("language") + request.values("title_language"),
            tags=request.values("tag"),
            title=request.value("title"),
            author_id=request.value("author_id"),
            sort_by=sort_by,
        )
        items = [
            shown(self.catalogue.entries[voice_id], base_url) for voice_id in found[start : start + size]
        ]
        return _page(items, total=min(count, WINDOW + 2), reachable=len(found), end=start + size, count=count)

    def _get(self, voice_id: str, key: str, base_url: str) -> dict[str, Any]:
        clone = self.clones.get(voice_id)
        if clone is not None:
            if clone.entity["visibility"] == "private" and clone.key != key:
                raise Refusal(403, "Forbidden")
            return clone.shown()
        entry = self.catalogue.entries.get(voice_id)
        if entry is None:
            raise Refusal(404, "Model not found")
        return shown(entry, base_url)

    def _create(self, form: Form, key: str) -> dict[str, Any]:
        title, recordings = form.text("title"), form.files.get("voices", [])
        for name, is_there in (("title", title), ("voices", recordings), ("type", form.text("type"))):
            if not is_there:
                raise _field_error(name, "Field required", "body")
        if form.text("type") != "tts" or form.text("train_mode") != "fast":
            raise _field_error("train_mode", "Input should be 'fast'", "body")
        visibility = form.text("visibility") or "public"
        if visibility == "public" and "cover_image" not in form.files:
            raise _field_error("cover_image", "cover_image is required for public models", "body")
        if not 1 <= len(recordings) <= 20 or len(form.texts.get("texts", [])) > 20:
            raise _field_error("voices", "List should have at most 20 items", "body")
        if any(len(recording) < MIN_AUDIO_BYTES for recording in recordings):
            raise Refusal(400, "Reference Audio is not valid, please check your reference audio")
        is_downgraded = visibility == "public" and self.state.switches.is_public_downgraded
        now = datetime.now(UTC).isoformat()
        entity = model_entity(
            _id=uuid.uuid4().hex,
            title=title,
            description=form.text("description") or "",
            state="created",
            tags=[tag for tag in form.texts.get("tags", []) if tag],
            languages=["fr"],
            visibility="private" if is_downgraded else visibility,
            created_at=now,
            updated_at=now,
            author={"_id": "0" * 32, "nickname": "stand-in", "avatar": ""},
        )
        failing = self.state.due("model", "training_fails") is not None
        trained_at = time.monotonic() + self.state.switches.training_s
        self.clones[entity["_id"]] = Clone(
            key, entity, trained_at, failing, recordings, form.texts.get("texts", [])
        )
        return dict(entity)

    def _update(self, clone: Clone, form: Form) -> None:
        for name in ("title", "description", "visibility"):
            value = form.text(name)
            if value is not None:
                clone.entity[name] = value
        if clone.entity["visibility"] not in VISIBILITIES:
            raise _field_error("visibility", f"Input should be {VISIBILITIES}", "body")
        if "tags" in form.texts:
            clone.entity["tags"] = [tag for tag in form.texts["tags"] if tag]
        clone.entity["updated_at"] = datetime.now(UTC).isoformat()

    def _own(self, voice_id: str, key: str) -> Clone:
        clone = self.clones.get(voice_id)
        if clone is None:
            raise Refusal(403 if voice_id in self.catalogue.entries else 404, "Model not found")
        if clone.key != key:
            raise Refusal(403, "Forbidden")
        return clone


def _page(
    items: list[dict[str, Any]], *, total: int, reachable: int, end: int, count: int | None = None
) -> dict[str, Any]:
    is_limited = count is not None and count > WINDOW
    return {
        "total": total,
        "items": items,
        "has_more": end < reachable,
        "max_offset": WINDOW if is_limited else None,
        "accessible_upper_bound": WINDOW if is_limited else None,
        "window_limited": is_limited,
        "total_is_exact": not is_limited,
    }


def _number(request: Request, name: str, default: int, low: int, high: int) -> int:
    text = request.value(name, str(default))
    if not text.isdecimal():
        raise _field_error(name, "Input should be a valid integer", "query")
    if not low <= int(text) <= high:
        raise _field_error(name, f"Input should be between {low} and {high}", "query")
    return int(text)


def _field_error(name: str, message: str, place: str) -> Refusal:
    return Refusal(422, fields=[{"loc": [name], "type": "value_error", "msg": message, "in": place}])


def _base_url(request: Request) -> str:
    return f"http://{request.headers.get('host', '127.0.0.1')}"
