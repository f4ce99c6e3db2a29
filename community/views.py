"""The HTML doors of the community."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from community.models import Like, Report
from community.search import Found, Search, count_voices, search_voices
from community.services import like_voice, report_voice, unlike_voice
from voices.models import Voice
from voices.words import language_code

PAGE_SIZE = 24
LAST_PAGE = 1_000_000
LANGUAGES = (
    ("fr", gettext_lazy("français")),
    ("en", gettext_lazy("anglais")),
    ("es", gettext_lazy("espagnol")),
    ("de", gettext_lazy("allemand")),
    ("it", gettext_lazy("italien")),
    ("pt", gettext_lazy("portugais")),
    ("nl", gettext_lazy("néerlandais")),
    ("pl", gettext_lazy("polonais")),
    ("ru", gettext_lazy("russe")),
    ("tr", gettext_lazy("turc")),
    ("ar", gettext_lazy("arabe")),
    ("hi", gettext_lazy("hindi")),
    ("zh", gettext_lazy("chinois")),
    ("ja", gettext_lazy("japonais")),
    ("ko", gettext_lazy("coréen")),
)
SORTS = (
    ("popular", gettext_lazy("les plus utilisées")),
    ("likes", gettext_lazy("les plus aimées")),
    ("recent", gettext_lazy("les plus récentes")),
    ("relevance", gettext_lazy("les plus proches de la recherche")),
)


class SearchForm(forms.Form):
    """What the page's search box, filters and links send."""

    search = forms.CharField(
        label=gettext_lazy("Rechercher"),
        required=False,
        max_length=200,
        widget=forms.SearchInput(
            attrs={"placeholder": gettext_lazy("Titre, auteur, étiquette…"), "autocomplete": "off"}
        ),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Langue"), required=False, choices=[("", gettext_lazy("toutes")), *LANGUAGES]
    )
    tag = forms.CharField(label=gettext_lazy("Étiquette"), required=False, max_length=64)
    sort_by = forms.ChoiceField(label=gettext_lazy("Trier par"), required=False, choices=SORTS)

    def __init__(self, data: QueryDict) -> None:
        """Take any language: the marks of the voices name more than the list does, and with a region."""
        asked = language_code(data.get("language", ""))
        super().__init__(data.dict() | {"language": asked})
        if asked not in dict(LANGUAGES):
            field: Any = self.fields["language"]
            field.choices = [*field.choices, (asked, asked)] if asked else field.choices

    def to_search(self, page: int) -> Search:
        """Return the search; a field that makes no sense counts as empty."""
        self.is_valid()
        values = self.cleaned_data
        return Search(
            text=values.get("search", ""),
            language=values.get("language", ""),
            tag=values.get("tag", ""),
            sort_by=values.get("sort_by") or "popular",
            page=page,
            page_size=PAGE_SIZE,
        )


@require_safe
@vary_on_headers("HX-Request")
def list_voices(request: HttpRequest) -> HttpResponse:
    """Show the community's voices, for everybody. htmx asks for the results alone."""
    form = SearchForm(request.GET)
    search = form.to_search(_page_number(request))
    found = search_voices(search)
    voices = Voice.objects.in_order(found.voice_ids)
    context = _results(search, found, voices) | {"form": form, "liked": _liked(request, voices)}
    count, is_exact = count_voices()
    context |= {"voice_count": count if is_exact else round(count, -3), "is_voice_count_exact": is_exact}
    is_part = request.headers.get("HX-Target") == "resultats"
    return render(request, "community/results.html" if is_part else "community/list.html", context)


@login_required
@require_POST
def toggle_like(request: HttpRequest, voice_id: str) -> HttpResponse:
    """Like a voice, or no longer."""
    is_liked = request.POST.get("is_liked") == "True"
    change = like_voice if is_liked else unlike_voice
    voice = change(user_id=_user_id(request), voice_id=voice_id)
    if request.headers.get("HX-Request"):
        liked = {voice.pk} if is_liked else set()
        return render(request, "community/like.html", {"voice": voice, "liked": liked})
    return redirect(_next_address(request))


@login_required
@require_POST
def report(request: HttpRequest, voice_id: str) -> HttpResponse:
    """Tell the moderators about a voice."""
    reason = request.POST.get("reason", "")
    if reason not in Report.Reason.values:
        messages.error(request, _("Choisissez un motif de signalement."))
        return redirect(_next_address(request))
    report_voice(
        user_id=_user_id(request), voice_id=voice_id, reason=reason, detail=request.POST.get("detail", "")
    )
    messages.success(request, _("Merci, votre signalement est transmis à la modération."))
    return redirect(_next_address(request))


def _results(search: Search, found: Found, voices: list[Voice]) -> dict[str, Any]:
    asked = {"search": search.text, "language": search.language, "tag": search.tag, "sort_by": search.sort_by}
    kept = {name: value for name, value in asked.items() if value and value != "popular"}
    return {
        "voices": voices,
        "found": found,
        "search": search,
        "is_filtered": bool(search.text or search.language or search.tag),
        "reasons": Report.Reason.choices,
        "previous_query": urlencode(kept | {"page": search.page - 1}) if search.page > 1 else "",
        "next_query": urlencode(kept | {"page": search.page + 1}) if found.has_more else "",
    }


def _liked(request: HttpRequest, voices: list[Voice]) -> set[int]:
    if not request.user.is_authenticated:
        return set()
    keys = [voice.pk for voice in voices]
    return set(Like.objects.filter(user=request.user.pk, voice__in=keys).values_list("voice_id", flat=True))


def _page_number(request: HttpRequest) -> int:
    page = request.GET.get("page", "")
    return min(max(int(page), 1), LAST_PAGE) if page.isascii() and page.isdecimal() and len(page) < 10 else 1


def _user_id(request: HttpRequest) -> int:
    assert request.user.pk is not None
    return request.user.pk


def _next_address(request: HttpRequest) -> str:
    """Return where the person was, if that is a page of ours."""
    address = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        address, {request.get_host()}, require_https=request.is_secure()
    )
    return address if is_ours else "community-list"
