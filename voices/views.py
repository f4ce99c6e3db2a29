"""The HTML doors of private voices. Whatever they do, the JSON doors do by the same functions."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Case, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.authentication import client_ip
from fr02.errors import Fr02Error, VoiceNotFound
from voices import fish
from voices.adoption import adopt_voice
from voices.blending import blendable, create_blend
from voices.cloning import CloneOrder, check_available, clone_voice, consent_statement
from voices.editing import SHAREABLE, delete_voice, update_voice
from voices.forms import SENTENCES, BlendForm, CloneForm, DescribedForm
from voices.models import Voice
from voices.services import ensure_starter_voice
from voices.uploads import MAX_RECORDINGS, check_length


@never_cache
@login_required
@require_safe
def list_voices(request: HttpRequest) -> HttpResponse:
    """Show the account's voices, and how to make more."""
    return _show(request)


@never_cache
@login_required
@require_safe
def show_card(request: HttpRequest, voice_id: str) -> HttpResponse:
    """Show one voice alone: what its card asks for while the voice is not ready."""
    voice = Voice.objects.private_of(_user_id(request)).filter(public_id=voice_id).first()
    if voice is None:
        raise VoiceNotFound()
    return render(request, "voices/card.html", _card_context() | {"voice": voice})


@login_required
@require_POST
def clone(request: HttpRequest) -> HttpResponse:
    """Clone a voice from a form that was sent as it is, without script."""
    form = None
    try:
        check_available()
        check_length(request.META)
        form = CloneForm(request.POST, request.FILES)
        if not form.is_valid():
            return _show(request, clone_form=form, status=400)
        files, texts = [file for file, _text in form.recordings], [text for _file, text in form.recordings]
        order = CloneOrder(
            fields=form.to_fields(),
            files=files,
            texts=texts,
            has_consent=form.cleaned_data["consent"],
            ip_address=client_ip(request),
        )
        clone_voice(user_id=_user_id(request), order=order)
    except Fr02Error as refusal:
        form = form or CloneForm()
        return _show(request, clone_form=form, clone_refusal=refusal.detail, status=refusal.status)
    messages.success(request, _("Vos enregistrements sont reçus\u00a0: la voix se prépare."))
    return redirect("voices-list")


@login_required
@require_POST
def blend(request: HttpRequest) -> HttpResponse:
    """Save a blend."""
    form = BlendForm(_blendable(request), request.POST)
    if not form.is_valid():
        return _show(request, blend_form=form, status=400)
    try:
        create_blend(
            user_id=_user_id(request),
            fields=form.to_fields(),
            parts=form.parts,
            language=form.cleaned_data["language"],
        )
    except Fr02Error as refusal:
        form.add_error(None, refusal.detail)
        return _show(request, blend_form=form, status=refusal.status)
    messages.success(request, _("Le mélange est enregistré parmi vos voix."))
    return redirect("voices-list")


@login_required
@require_POST
def adopt(request: HttpRequest) -> HttpResponse:
    """Add a voice that was made at Fish Audio, by its id."""
    asked = request.POST.get("fish_audio_id", "").strip()
    try:
        adopt_voice(user_id=_user_id(request), fish_audio_id=asked)
    except Fr02Error as refusal:
        return _show(request, adoption_refusal=refusal.detail, adoption_id=asked, status=refusal.status)
    messages.success(request, _("La voix est ajoutée aux vôtres."))
    return redirect("voices-list")


@login_required
@require_POST
def edit(request: HttpRequest, voice_id: str) -> HttpResponse:
    """Change title, description and tags of a voice."""
    form = DescribedForm(request.POST)
    try:
        if not form.is_valid():
            messages.error(request, _("Donnez un titre à la voix, et des textes moins longs."))
        else:
            update_voice(user_id=_user_id(request), voice_id=voice_id, changes=form.changes())
            messages.success(request, _("La voix est modifiée."))
    except VoiceNotFound:
        raise
    except Fr02Error as refusal:
        messages.error(request, refusal.detail)
    return redirect("voices-list")


@login_required
@require_POST
def delete(request: HttpRequest, voice_id: str) -> HttpResponse:
    """Delete a voice."""
    delete_voice(user_id=_user_id(request), voice_id=voice_id)
    messages.success(request, _("La voix est supprimée."))
    return redirect("voices-list")


def _show(request: HttpRequest, status: int = 200, **extra: Any) -> HttpResponse:
    user_id = _user_id(request)
    ensure_starter_voice(user_id=user_id)
    context = _card_context() | {
        "voices": Voice.objects.private_of(user_id),
        "can_clone": fish.is_configured(),
        "clone_form": CloneForm(),
        "blend_form": BlendForm(_blendable(request)),
        "consent_statement": consent_statement(),
        "sentences": SENTENCES,
        "upload_mebibytes": settings.CLONE_UPLOAD_BYTES // 2**20,
        "least_seconds": round(settings.CLONE_MIN_SECONDS),
        "max_recordings": MAX_RECORDINGS,
    }
    return render(request, "voices/list.html", context | extra, status=status)


def _card_context() -> dict[str, Any]:
    return {"unfinished": Voice.UNFINISHED, "shareable": SHAREABLE}


def _blendable(request: HttpRequest) -> list[Voice]:
    """Return the voices to mix, French ones first."""
    is_french = Case(When(languages__contains=["fr"], then=Value(0)), default=Value(1))
    return list(blendable(_user_id(request)).order_by(is_french, "title", "pk"))


def _user_id(request: HttpRequest) -> int:
    assert request.user.pk is not None
    return request.user.pk
