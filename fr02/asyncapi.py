"""`/asyncapi.yaml`: the socket described in AsyncAPI 3, from the same tables that its parser reads."""

from typing import Any

import yaml
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from fr02.error_catalogue import CATALOGUE
from tts.request import BY_NAME, SESSION_PARAMETERS, Parameter
from tts.session_messages import CLIENT_EVENTS, START, TEXT

JSON, AUDIO = "application/json", "application/octet-stream"
CHANNEL = "#/channels/speech"


@require_safe
def asyncapi(request: HttpRequest) -> HttpResponse:
    """Send the description of the socket, with the host that it was asked on."""
    described = document(request.get_host(), is_secure=request.is_secure())
    text = yaml.safe_dump(described, allow_unicode=True, sort_keys=False, width=100)
    return HttpResponse(text, content_type="application/yaml; charset=utf-8")


def document(host: str, *, is_secure: bool) -> dict[str, Any]:
    """Return the AsyncAPI document (https://www.asyncapi.com/docs/reference/specification/v3.0.0) of a host."""
    messages = _client_messages() | _server_messages()
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "FR02", "version": "1", "description": _description()},
        "defaultContentType": JSON,
        "servers": {
            "fr02": {
                "host": host,
                "protocol": "wss" if is_secure else "ws",
                "security": [{"$ref": "#/components/securitySchemes/apiKey"}],
            }
        },
        "channels": {
            "speech": {
                "address": "/api/v1/tts/stream",
                "title": _("TTS WebSocket temps réel"),
                "description": _closing(),
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "oneShot": _operation(
                "receive", _("Un seul message\u00a0: tout le texte."), ["request"], ["audio"]
            ),
            "session": _operation(
                "receive",
                _("Session\u00a0: le texte arrive au fil de l’eau."),
                list(CLIENT_EVENTS),
                ["audio", *_server_events()],
            ),
            "refusal": _operation("send", _("Ce qui termine une demande refusée."), ["problem"]),
        },
        "components": {
            "messages": messages,
            "securitySchemes": {
                "apiKey": {
                    "type": "httpApiKey",
                    "name": "X-API-Key",
                    "in": "header",
                    "description": _("La clé d’API. Un navigateur envoie un ticket comme sous-protocole."),
                }
            },
        },
    }


def _description() -> str:
    return _(
        "La WebSocket a deux modes. Un premier message sans «\u202fevent\u202f» demande la synthèse d’un texte "
        "entier\u00a0: seules des trames binaires répondent, puis la fermeture 1000. Un premier message "
        "«\u202fstart\u202f» ouvre une session\u00a0: le texte suit, par morceaux, et des événements JSON "
        "accompagnent l’audio. Dans les deux modes, les trames binaires mises bout à bout forment un fichier valide."
    )


def _closing() -> str:
    codes: dict[int, list[str]] = {}
    for entry in CATALOGUE:
        if entry.close_code is not None:
            codes.setdefault(entry.close_code, []).append(entry.code)
    meanings = "\u202f; ".join(f"{code} ({', '.join(names)})" for code, names in sorted(codes.items()))
    return _(
        "Un message fait au plus {kibibytes} Kio, une trame audio 64 Kio, le texte {characters} caractères en tout. "
        "Sans message ni audio pendant {seconds} secondes, la fermeture est 1008. Codes de fermeture\u00a0: 1000 (fin), "
        "{meanings}."
    ).format(
        kibibytes=settings.SOCKET_MESSAGE_BYTES // 1024,
        characters=settings.TEXT_LIMIT_SOCKET,
        seconds=round(settings.SOCKET_IDLE_SECONDS),
        meanings=meanings,
    )


def _operation(
    action: str, summary: str, messages: list[str], replies: list[str] | None = None
) -> dict[str, Any]:
    operation = {
        "action": action,
        "channel": {"$ref": CHANNEL},
        "summary": summary,
        "messages": _refs(messages),
    }
    if replies:
        operation["reply"] = {"channel": {"$ref": CHANNEL}, "messages": _refs(replies)}
    return operation


def _refs(names: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"{CHANNEL}/messages/{name}"} for name in names]


def _client_messages() -> dict[str, Any]:
    parameters = {name: _schema(parameter) for name, parameter in BY_NAME.items()}
    fields: dict[str, dict[str, Any]] = {
        START: {parameter.name: parameters[parameter.name] for parameter in SESSION_PARAMETERS},
        # Unlike the text of a one-shot, a piece of text may be empty or blank.
        TEXT: {"text": {"type": "string", "maxLength": settings.TEXT_LIMIT_SOCKET}},
    }
    whole = _object(parameters, required=["text"])
    return {"request": _message(_("Le texte entier et ses paramètres."), whole)} | {
        name: _message(
            str(event.description),
            _event(name, fields.get(name, {}), required=[TEXT] if name == TEXT else []),
        )
        for name, event in CLIENT_EVENTS.items()
    }


def _schema(parameter: Parameter) -> dict[str, Any]:
    is_number = parameter.type == "float"
    schema: dict[str, Any] = {
        "type": "number" if is_number else "string",
        "description": str(parameter.description),
    }
    if parameter.name == "text":
        return schema | {"minLength": 1, "maxLength": settings.TEXT_LIMIT_SOCKET}
    if parameter.default is None:
        schema["type"] = [schema["type"], "null"]
    schema["default"] = parameter.default
    if parameter.choices:
        schema["enum"] = [*parameter.choices, *([None] if parameter.default is None else [])]
    if is_number:
        schema |= {"minimum": parameter.minimum, "maximum": parameter.maximum}
    return schema


def _server_messages() -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    audio = _message(_("Un morceau du fichier audio\u00a0: une trame binaire."), binary) | {
        "contentType": AUDIO
    }
    problem = _message(
        _("L’erreur d’une demande entière\u00a0: l’objet problème (RFC 9457), puis le code de fermeture."),
        _object(_problem(), required=PROBLEM_REQUIRED, is_open=True),
    )
    return {"audio": audio, "problem": problem} | _server_events()


def _server_events() -> dict[str, Any]:
    integer, text = {"type": "integer"}, {"type": "string"}
    maybe_text, maybe_integer = {"type": ["string", "null"]}, {"type": ["integer", "null"]}
    started = {"id": text, "voice_id": maybe_text, "format": text, "sample_rate": integer}
    segment = {"text": text, "start_ms": integer, "end_ms": integer}
    done = dict.fromkeys(("characters", "cost_micros", "balance_micros", "duration_ms"), integer)
    return {
        "started": _answer("started", _("La session est ouverte."), started),
        "segment": _answer("segment", _("Le passage que l’audio suivant dit, et ses temps."), segment),
        "flushed": _answer(
            "flushed", _("Tout le texte reçu avant «\u202fflush\u202f» a été dit et envoyé."), {}
        ),
        "cancelled": _answer("cancelled", _("La parole est arrêtée\u202f; le texte non dit est oublié."), {}),
        "warning": _answer(
            "warning", _("Un paramètre que le moteur adapte ou ignore."), {"code": text, "detail": text}
        ),
        "error": _message(
            _("L’erreur qui termine la session\u00a0: l’objet problème, puis le code de fermeture."),
            _event("error", _problem(), required=PROBLEM_REQUIRED, is_open=True),
        ),
        "done": _answer(
            "done",
            _("Tout est dit et facturé\u202f; la fermeture 1000 suit. Montants en micro-euros."),
            done | {"first_audio_ms": maybe_integer},
        ),
    }


PROBLEM_REQUIRED = ["type", "title", "status", "detail", "code", "request_id"]


def _problem() -> dict[str, Any]:
    pointer = _object(
        {"pointer": {"type": "string"}, "detail": {"type": "string"}}, required=["pointer", "detail"]
    )
    fields: dict[str, Any] = {name: {"type": "string"} for name in PROBLEM_REQUIRED}
    return fields | {
        "status": {"type": "integer"},
        "retry_after_s": {"type": "integer", "minimum": 1},
        "errors": {"type": "array", "items": pointer},
    }


def _answer(name: str, summary: str, fields: dict[str, Any]) -> dict[str, Any]:
    return _message(summary, _event(name, fields, required=list(fields)))


def _event(
    name: str, fields: dict[str, Any], *, required: list[str], is_open: bool = False
) -> dict[str, Any]:
    return _object({"event": {"const": name}} | fields, required=["event", *required], is_open=is_open)


def _object(properties: dict[str, Any], *, required: list[str], is_open: bool = False) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": is_open}


def _message(summary: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "payload": payload}
