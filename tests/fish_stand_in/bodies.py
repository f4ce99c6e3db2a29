"""Read the four body types that the voice endpoints take into one shape: texts by name, files by name."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgpack

from tests.fish_stand_in.validation import Refusal
from tests.fish_stand_in.wire import Request


@dataclass
class Form:
    """What was sent: every name may come several times."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)
    file_types: list[str] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        """Return the last value of a field, or None."""
        return self.texts[name][-1] if self.texts.get(name) else None


def parse_form(request: Request) -> Form:
    """Return the form of a request; raises Refusal for a type that nobody takes."""
    kind = request.media_type
    if kind == "multipart/form-data":
        return _multipart(request)
    form = Form()
    if kind == "application/x-www-form-urlencoded":
        for name, value in parse_qsl(request.body.decode(), keep_blank_values=True):
            form.texts.setdefault(name, []).append(value)
    elif kind in ("application/json", "application/msgpack"):
        value = json.loads(request.body) if kind == "application/json" else msgpack.unpackb(request.body)
        for name, item in value.items():
            _add(form, name, item)
    elif request.body:
        raise Refusal(400, f"Unsupported content type {kind}", is_plain=True)
    return form


def _add(form: Form, name: str, value: Any) -> None:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bytes):
            form.files.setdefault(name, []).append(item)
        elif item is not None:
            text = str(item).lower() if isinstance(item, bool) else str(item)
            form.texts.setdefault(name, []).append(text)
    if isinstance(value, list) and not value:
        form.texts.setdefault(name, [])


def _multipart(request: Request) -> Form:
    boundary = request.headers["content-type"].partition("boundary=")[2].strip('"').encode()
    form = Form()
    for part in request.body.split(b"--" + boundary)[1:]:
        if part.startswith(b"--"):
            break
        head, _, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = _headers(head)
        details = dict(
            piece.strip().split("=", 1)
            for piece in headers["content-disposition"].split(";")[1:]
            if "=" in piece
        )
        name, content = details["name"].strip('"'), body.removesuffix(b"\r\n")
        if "filename" in details:
            form.files.setdefault(name, []).append(content)
            form.file_types.append(headers.get("content-type", ""))
        else:
            form.texts.setdefault(name, []).append(content.decode())
    return form


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode().split("\r\n"))
    return {name.lower(): value.strip() for name, _, value in lines}
