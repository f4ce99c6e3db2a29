"""One shape for every refusal: RFC 9457 problem objects, with a stable code and a French sentence.

Business code raises these classes; the doors (REST, socket, pages) turn them into an answer. A door never writes
an error body of its own.
"""

import json
import logging
import math
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import exceptions as drf
from rest_framework.negotiation import BaseContentNegotiation

from fr02.quota import Quota

logger = logging.getLogger(__name__)


class Fr02Error(Exception):
    """Refuse something, for a reason that the customer can read.

    `pointers` are pairs (JSON Pointer, French sentence); `quota` is the limit that was reached; `extra` are further
    members of the problem object, JSON values; `close_code` is what a socket is closed with (api.md).
    """

    status = 400
    code = "invalid_request"
    close_code = 4400
    # The methods that an address takes, where another was used.
    allowed = ""

    def __init__(
        self,
        detail: str = "",
        *,
        pointers: list[tuple[str, str]] | None = None,
        retry_after_s: float | None = None,
        quota: Quota | None = None,
        **extra: Any,
    ) -> None:
        self.detail = detail or self.default_detail()
        self.pointers = pointers or []
        self.retry_after_s = retry_after_s
        self.quota = quota
        self.extra = extra
        super().__init__(self.detail)

    def default_detail(self) -> str:
        return _("La requête n’est pas valide.")


class InvalidRequest(Fr02Error):
    pass


class IdleTimeout(InvalidRequest):
    """A socket on which nothing is said."""

    code, close_code = "idle_timeout", 1008


class InvalidApiKey(Fr02Error):
    status, code, close_code = 401, "invalid_api_key", 1008

    def default_detail(self) -> str:
        return _("Clé d’API absente ou invalide. Envoyez-la dans l’en-tête X-API-Key.")


class InsufficientCredit(Fr02Error):
    status, code, close_code = 402, "insufficient_credit", 4402

    def default_detail(self) -> str:
        return _("Crédit insuffisant pour cette synthèse. Rechargez votre compte.")


class Forbidden(Fr02Error):
    status, code, close_code = 403, "forbidden", 1008

    def default_detail(self) -> str:
        return _("Cette opération ne vous est pas permise.")


class NotFound(Fr02Error):
    status, code, close_code = 404, "not_found", 4404

    def default_detail(self) -> str:
        return _("Introuvable.")


class VoiceNotFound(NotFound):
    code = "voice_not_found"

    def default_detail(self) -> str:
        return _("Cette voix n’existe pas ou ne vous est pas accessible.")


def unknown_voice() -> VoiceNotFound:
    """Return the refusal of the voice that a synthesis asks for."""
    error = VoiceNotFound()
    error.pointers = [(pointer_to("voice_id"), error.detail)]
    return error


class Conflict(Fr02Error):
    status, code = 409, "conflict"

    def default_detail(self) -> str:
        return _("L’état actuel ne permet pas cette opération.")


class IdempotencyConflict(Conflict):
    code = "idempotency_conflict"

    def default_detail(self) -> str:
        return _("Cette clé d’idempotence a déjà servi pour une autre requête.")


class TextTooLong(Fr02Error):
    status, code, close_code = 413, "text_too_long", 4413

    def default_detail(self) -> str:
        return _("Le texte est trop long.")


class FileTooLarge(Fr02Error):
    status, code, close_code = 413, "file_too_large", 4413

    def default_detail(self) -> str:
        return _("Le corps de la requête est trop volumineux.")


class RangeNotSatisfiable(Fr02Error):
    status, code = 416, "range_not_satisfiable"

    def default_detail(self) -> str:
        return _("La plage demandée n’est pas dans ce fichier.")


def body_too_large(limit_bytes: int) -> FileTooLarge:
    """Return the refusal of a body, which says the limit."""
    detail = _("Le corps de la requête dépasse {limit} Kio.").format(limit=limit_bytes // 1024)
    return FileTooLarge(detail, limit_bytes=limit_bytes)


class RateLimited(Fr02Error):
    status, code, close_code = 429, "rate_limited", 4429

    def default_detail(self) -> str:
        return _("Trop de requêtes. Patientez avant de réessayer.")


class TooManyStreams(RateLimited):
    code = "too_many_streams"

    def default_detail(self) -> str:
        return _("Trop de synthèses en même temps pour ce compte.")


class EngineError(Fr02Error):
    """The engine failed before or while it spoke. Nothing undelivered is charged."""

    status, code, close_code = 502, "engine_error", 1011

    def default_detail(self) -> str:
        return _("La synthèse a échoué. Rien ne vous est facturé pour ce qui n’a pas été livré.")


class EngineBusy(EngineError):
    status, code, close_code = 503, "engine_busy", 1013

    def default_detail(self) -> str:
        return _("Le moteur est complet en ce moment. Réessayez dans quelques secondes.")


class EngineUnavailable(EngineError):
    status, code = 503, "engine_unavailable"

    def default_detail(self) -> str:
        return _("Ce moteur est momentanément indisponible. Rien ne vous est facturé.")


class EngineTimeout(EngineError):
    status, code = 504, "engine_timeout"

    def default_detail(self) -> str:
        return _("Le moteur n’a pas répondu à temps. Rien ne vous est facturé pour ce qui n’a pas été livré.")


class StorageUnavailable(Fr02Error):
    """The storage of the audio does not answer. Nothing has changed."""

    status, code, close_code = 503, "storage_unavailable", 1011

    def default_detail(self) -> str:
        return _("Le stockage ne répond pas. Réessayez dans quelques minutes.")


class InternalError(Fr02Error):
    """What nobody foresaw; it tells nothing of the inside."""

    status, code, close_code = 500, "internal_error", 1011

    def default_detail(self) -> str:
        return _("Une erreur interne est survenue. Elle a été enregistrée.")


def pointer_to(*names: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) to a place in the body; without a name, to the whole body."""
    return "".join(f"/{str(name).replace('~', '~0').replace('/', '~1')}" for name in names)


def only(method: str) -> Fr02Error:
    """Return the refusal of every method but one."""
    error = Fr02Error(_("Cette adresse n’accepte que {method}.").format(method=method))
    error.status, error.code, error.allowed = 405, "method_not_allowed", method
    return error


def problem(error: Fr02Error, request_id: str) -> dict[str, Any]:
    """Return the problem object of an error, ready for JSON."""
    body: dict[str, Any] = {
        "type": f"/developpeurs/erreurs#{error.code}",
        "title": str(TITLES.get(error.status, TITLES[400])),
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    if error.pointers:
        body["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in error.pointers]
    if error.retry_after_s is not None:
        body["retry_after_s"] = _whole_seconds(error.retry_after_s)
    return body | error.extra


def problem_text(error: Fr02Error, request_id: str, **head: str) -> str:
    """Return the problem object, after members of its own, as JSON that can be sent.

    It can be sent whatever a stranger put into the names that it repeats.
    """
    text = json.dumps(head | problem(error, request_id), ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def problem_response(error: Fr02Error, request: HttpRequest) -> HttpResponse:
    """Return the HTTP answer of an error."""
    body = problem_text(error, getattr(request, "request_id", ""))
    response = HttpResponse(body, status=error.status, content_type="application/problem+json")
    if error.status == 401:
        response["WWW-Authenticate"] = 'ApiKey realm="FR02"'
    if error.allowed:
        response["Allow"] = error.allowed
    if error.retry_after_s is not None:
        response["Retry-After"] = str(_whole_seconds(error.retry_after_s))
    if error.quota is not None:
        error.quota.tell(response)
    return response


def _whole_seconds(seconds: float) -> int:
    return max(1, math.ceil(seconds))


def handle_exception(exception: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Turn what a REST view raised into a problem answer. Unknown exceptions are left to `server_error`."""
    request = context["request"]
    if isinstance(exception, Fr02Error):
        return problem_response(exception, request)
    known = _from_framework(exception)
    return problem_response(known, request) if known else None


def _from_framework(exception: Exception) -> Fr02Error | None:
    if isinstance(exception, Http404 | drf.NotFound):
        return NotFound()
    if isinstance(exception, drf.ValidationError):
        pointers = _pointers(exception.detail)
        return InvalidRequest(pointers[0][1] if len(pointers) == 1 else "", pointers=pointers)
    if isinstance(exception, drf.NotAuthenticated | drf.AuthenticationFailed):
        return InvalidApiKey()
    if isinstance(exception, drf.PermissionDenied):
        return Forbidden(str(exception.detail))
    if isinstance(exception, drf.ParseError):
        return InvalidRequest(_("Le formulaire envoyé ne peut pas être lu."))
    if isinstance(exception, drf.APIException):
        error = Fr02Error(str(exception.detail))
        error.status, error.code = exception.status_code, CODES.get(exception.status_code, "invalid_request")
        return error
    return None


def _pointers(detail: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(detail, dict):
        return [pair for key, value in detail.items() for pair in _pointers(value, path + pointer_to(key))]
    if isinstance(detail, list):
        return [pair for value in detail for pair in _pointers(value, path)]
    return [(path.removesuffix("/non_field_errors"), str(detail))]


class AnyAccept(BaseContentNegotiation):
    """Answer something whatever the client says it accepts: SDKs ask for octet streams and would get 406."""

    def select_parser(self, request, parsers):
        for parser in parsers:
            if request.content_type.startswith(parser.media_type.split("/*")[0]):
                return parser
        return None

    def select_renderer(self, request, renderers, format_suffix=None):
        # Only the schema has several: `?format=json`, or the Accept header, chooses one.
        asked, accepted = request.query_params.get("format"), request.headers.get("Accept", "")
        if asked and len(renderers) > 1:
            renderers = [one for one in renderers if one.format == asked]
            if not renderers:
                raise InvalidRequest(pointers=[("/format", _("Choisissez json ou yaml."))])
        fitting = [one for one in renderers if one.media_type in accepted]
        chosen = (fitting or renderers)[0]
        return chosen, chosen.media_type


TITLES = {
    400: gettext_lazy("Requête invalide"),
    401: gettext_lazy("Authentification requise"),
    402: gettext_lazy("Crédit insuffisant"),
    403: gettext_lazy("Accès refusé"),
    404: gettext_lazy("Introuvable"),
    405: gettext_lazy("Méthode non permise"),
    409: gettext_lazy("Conflit"),
    413: gettext_lazy("Trop volumineux"),
    415: gettext_lazy("Type de contenu non pris en charge"),
    416: gettext_lazy("Plage impossible"),
    429: gettext_lazy("Trop de requêtes"),
    500: gettext_lazy("Erreur interne"),
    502: gettext_lazy("Erreur du moteur"),
    503: gettext_lazy("Service indisponible"),
    504: gettext_lazy("Délai dépassé"),
}
CODES = {405: "method_not_allowed", 415: "unsupported_media_type", 500: "internal_error"}
