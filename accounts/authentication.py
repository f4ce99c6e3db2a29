"""Find out who sends a request: by API key in a header, or by the portal's session.

One resolver serves REST, the asynchronous doors and the socket.
"""

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.models import User
from accounts.services import Caller, resolve_key
from fr02.errors import Forbidden, InvalidApiKey


def key_from_headers(headers: Mapping[str, str]) -> str | None:
    """Return the key of `X-API-Key` or `Authorization: Bearer`, or None. A key in a URL is never looked at."""
    if key := headers.get("X-API-Key"):
        return key.strip()
    scheme, _space, value = headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


class ApiKeyAuthentication(BaseAuthentication):
    """Authenticate REST views by API key; `request.auth` is the Caller."""

    def authenticate(self, request: Request) -> tuple[User, Caller] | None:
        raw = key_from_headers(request.headers)
        if raw is None:
            return None
        caller = resolve_key(raw)
        return User(pk=caller.user_id), caller

    def authenticate_header(self, request: Request) -> str:
        return 'ApiKey realm="FR02"'


class PortalAuthentication(SessionAuthentication):
    """Authenticate the portal's own scripts by session and CSRF token; `request.auth` is the Caller."""

    def authenticate(self, request: Request) -> tuple[Any, Caller] | None:
        found = super().authenticate(request)
        return (found[0], Caller(user_id=found[0].pk)) if found else None

    def enforce_csrf(self, request: Request | HttpRequest) -> None:
        # Django's own request: REST framework's would parse the body in search of a form's token.
        try:
            super().enforce_csrf(getattr(request, "_request", request))  # type: ignore[arg-type]
        except PermissionDenied as error:
            raise Forbidden(
                _("Cette page a expiré ou n’a pas envoyé son jeton CSRF. Rechargez-la.")
            ) from error


def authenticate(request: HttpRequest) -> Caller:
    """Return who sends a request, for views that are not REST framework's. Raises InvalidApiKey or Forbidden."""
    raw = key_from_headers(request.headers)
    if raw is not None:
        return resolve_key(raw)
    found = PortalAuthentication().authenticate(Request(request))
    if found is None:
        raise InvalidApiKey()
    return found[1]


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """Tell the OpenAPI schema how a key travels."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "X-API-Key"}


class PortalScheme(OpenApiAuthenticationExtension):
    """Tell the OpenAPI schema that the portal's own pages come with their session."""

    target_class = PortalAuthentication
    name = "Session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


def caller_of(request: Request) -> Caller:
    """Return who sends an authenticated REST request."""
    caller: Any = request.auth
    assert isinstance(caller, Caller)
    return caller


def client_ip(request: HttpRequest | Request) -> str | None:
    """Return the address of who sends a request, behind TRUSTED_PROXIES reverse proxies."""
    return get_adapter().get_client_ip(request)
