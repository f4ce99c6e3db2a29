"""The developer page, and the answers for what no app knows."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from fr02.errors import Fr02Error, InvalidRequest, Forbidden, NotFound, problem_response


def home(request: HttpRequest) -> HttpResponse:
    """Lead to the developer page."""
    return redirect("developers")


def developers(request: HttpRequest) -> HttpResponse:
    """Show the developer page."""
    return render(request, "fr02/developers.html")


def api_not_found(request: HttpRequest) -> HttpResponseBase:
    """Answer an unknown API address."""
    return problem_response(NotFound(_("Cette adresse n’existe pas dans l’API.")), request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _refusal(request, InvalidRequest())


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _refusal(request, Forbidden())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return _refusal(request, NotFound(_("Cette page n’existe pas.")))


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer what nobody foresaw, without telling anything of the inside."""
    error = Fr02Error(_("Une erreur interne est survenue. Elle a été enregistrée."))
    error.status, error.code = 500, "internal_error"
    return _refusal(request, error)


def _refusal(request: HttpRequest, error: Fr02Error) -> HttpResponseBase:
    if request.path.startswith("/api/"):
        return problem_response(error, request)
    return render(request, "fr02/error.html", {"error": error}, status=error.status)
