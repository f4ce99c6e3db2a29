"""The portal's doors to the keys. A secret is in one answer only: it is neither kept nor sent on."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services
from accounts.forms import KeyForm
from accounts.models import ApiKey, User
from fr02.errors import InvalidRequest

FIELD_OF_POINTER = {"/name": "name", "/expires_at": "expires_on"}


def keys_context(user: Any, form: KeyForm | None = None) -> dict[str, Any]:
    """Return what the keys section needs, for whoever looks at the page."""
    if not user.is_authenticated:
        return {}
    return {
        "keys": ApiKey.objects.filter(user=user).for_listing(),
        "form": form or KeyForm(),
        "has_failover": bool(settings.FISH_API_KEY),
    }


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def api_keys(request: HttpRequest) -> HttpResponse:
    """List the keys; on POST create one and show its secret, this once."""
    assert isinstance(request.user, User)
    if request.method != "POST":
        return _show(request)
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _show(request, form)
    try:
        key, secret = services.create_api_key(
            user=request.user, name=form.cleaned_data["name"], expires_at=form.expires_at
        )
    except InvalidRequest as error:
        field = FIELD_OF_POINTER.get(error.pointers[0][0]) if error.pointers else None
        form.add_error(field, error.detail)
        return _show(request, form)
    return _show(request, secret=secret, secret_name=key.name)


@login_required
@require_POST
def revoke_api_key(request: HttpRequest, key_id: uuid.UUID) -> HttpResponse:
    """Revoke one of the account's keys."""
    assert isinstance(request.user, User)
    services.revoke_api_key(user=request.user, key_id=key_id)
    return redirect(f"{reverse('api-keys')}?revoked={key_id}")


@login_required
@require_POST
def set_failover(request: HttpRequest, key_id: uuid.UUID) -> HttpResponse:
    """Allow or forbid the local engine to finish what the cloud engine could not, for one key."""
    assert isinstance(request.user, User)
    services.set_failover(
        user=request.user, key_id=key_id, is_allowed=request.POST.get("is_allowed") == "True"
    )
    return redirect("api-keys")


def _show(request: HttpRequest, form: KeyForm | None = None, **extra: Any) -> HttpResponse:
    context = keys_context(request.user, form) | extra
    asked = request.GET.get("revoked")
    revoked = next((key for key in context["keys"] if key.revoked_at and str(key.pk) == asked), None)
    return render(request, "accounts/keys.html", context | {"revoked": revoked})
