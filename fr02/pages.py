"""The developer page, and the answers for what no app knows."""

import functools
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from accounts.views import keys_context
from fr02.error_catalogue import CATALOGUE
from fr02.errors import Forbidden, Fr02Error, InternalError, InvalidRequest, NotFound, problem_response
from fr02.highlight import highlight_python
from tts.request import BY_NAME, PARAMETERS, Parameter
from voices.services import resolve_voice

# The script as the page's owner wrote it. The host in it is the one that he wrote it for.
CLIENT_SCRIPT = Path(__file__).parent / "scripts" / "client_fr02.py"
WRITTEN_FOR = "localhost:8000"
ENDPOINTS = (
    ("POST", "/api/v1/tts/", gettext_lazy("TTS synchrone (texte court)")),
    ("WS", "/api/v1/tts/stream", gettext_lazy("TTS WebSocket temps réel")),
    ("GET", "/api/v1/voices/", gettext_lazy("Liste vos voix privées")),
    ("GET", "/api/v1/tts/history", gettext_lazy("Historique TTS")),
    ("GET", "/api/v1/community/models", gettext_lazy("100k+ voix communauté")),
)


def home(request: HttpRequest) -> HttpResponse:
    """Lead to the developer page."""
    return redirect("developers")


@never_cache
@require_safe
def developers(request: HttpRequest) -> HttpResponse:
    """Show the developer page, with the addresses of the host that it was asked on.

    `?voice_id=` chooses the voice of the playground.
    """
    origin, socket_origin = _origins(request)
    context = {
        "origin": origin,
        "socket_origin": socket_origin,
        "endpoints": ENDPOINTS,
        "script": _coloured_script(origin, socket_origin),
        "parameters": [_shown(parameter) for parameter in PARAMETERS],
        "formats": BY_NAME["format"].choices,
        "text_limit": settings.TEXT_LIMIT_REST,
        "here": request.get_full_path(),
        **_chosen_voice(request),
    }
    return render(request, "fr02/developers.html", context | keys_context(request.user))


@require_safe
def client_script(request: HttpRequest) -> HttpResponse:
    """Send the page's script as a file."""
    return HttpResponse(
        _script(*_origins(request)),
        content_type="text/x-python; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{CLIENT_SCRIPT.name}"'},
    )


@require_safe
def error_catalogue(request: HttpRequest) -> HttpResponse:
    """Explain every error code."""
    return render(request, "fr02/errors.html", {"catalogue": CATALOGUE})


@require_safe
def legal(request: HttpRequest) -> HttpResponse:
    """Show who publishes and hosts this FR02, as far as the operator has said it."""
    context = {
        "publisher": settings.PUBLISHER,
        "publisher_email": settings.PUBLISHER_EMAIL,
        "publication_director": settings.PUBLICATION_DIRECTOR,
        "hosting_provider": settings.HOSTING_PROVIDER,
    }
    return render(request, "fr02/legal.html", context)


@csrf_exempt
def api_not_found(request: HttpRequest) -> HttpResponseBase:
    """Answer an unknown API address."""
    return problem_response(NotFound(_("Cette adresse n’existe pas dans l’API.")), request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return refusal(request, InvalidRequest())


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return refusal(request, Forbidden())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Answer a form whose token is absent or too old."""
    return refusal(request, Forbidden(_("Ce formulaire a expiré. Rechargez la page où vous l’avez rempli.")))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return refusal(request, NotFound(_("Cette page n’existe pas.")))


def wrong_method(request: HttpRequest, refused: HttpResponseNotAllowed) -> HttpResponseBase:
    """Answer an address that was opened as it cannot be, such as the one that a form is sent to."""
    error = Fr02Error(
        _("Cette adresse ne s’ouvre pas ainsi. Revenez par le menu à la page que vous cherchez.")
    )
    error.status, error.code = 405, "method_not_allowed"
    response = refusal(request, error)
    response["Allow"] = refused["Allow"]
    return response


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer what nobody foresaw, without telling anything of the inside."""
    return refusal(request, InternalError())


def refusal(request: HttpRequest, error: Fr02Error) -> HttpResponseBase:
    """Return an error as a problem object to programs and to scripts of a page, and as a page to people."""
    if request.path.startswith("/api/") or request.headers.get("HX-Request"):
        return problem_response(error, request)
    context = {"error": error, "request_id": getattr(request, "request_id", "")}
    return render(request, "fr02/error.html", context, status=error.status)


def _chosen_voice(request: HttpRequest) -> dict[str, Any]:
    """Return the voice that the address asks for, or why it cannot be had; visitors log in first."""
    voice_id = request.GET.get("voice_id")
    if not voice_id or request.user.pk is None:
        return {}
    try:
        return {"chosen_voice": resolve_voice(user_id=request.user.pk, voice_id=voice_id)}
    except Fr02Error as error:
        return {"voice_refusal": error.detail}


def _origins(request: HttpRequest) -> tuple[str, str]:
    host = request.get_host()
    return f"{request.scheme}://{host}", f"{'wss' if request.is_secure() else 'ws'}://{host}"


@functools.lru_cache(maxsize=16)
def _coloured_script(origin: str, socket_origin: str) -> list[tuple[str, str]]:
    return highlight_python(_script(origin, socket_origin))


def _script(origin: str, socket_origin: str) -> str:
    source = CLIENT_SCRIPT.read_text(encoding="utf-8")
    return source.replace(f"http://{WRITTEN_FOR}", origin).replace(f"ws://{WRITTEN_FOR}", socket_origin)


def _shown(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as a row of the page's table."""
    default = "" if parameter.default is None else str(parameter.default)
    return {
        "name": parameter.name,
        "type": parameter.type,
        "default_text": parameter.shown_default or default,
        "description": parameter.description,
        "is_required": parameter.is_required,
    }
