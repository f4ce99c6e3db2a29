"""What the forms of the voices page send, read into what the services take."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from voices.blending import DEFAULT_LANGUAGE, MAX_PARTS, SPEECH_OF, Part
from voices.builtin import LANGUAGES
from voices.editing import MAX_DESCRIPTION, MAX_TITLE, VoiceFields, clean_fields
from voices.models import Voice

# What the owner reads aloud, one recording each: varied sounds, about eight seconds.
SENTENCES = (
    gettext_lazy(
        "Ce matin, le marché sentait bon le pain chaud, et la fleuriste rangeait ses bouquets en chantonnant."
    ),
    gettext_lazy(
        "Savez-vous pourquoi les trains partent toujours à l’heure quand nous, nous arrivons en retard\u202f?"
    ),
    gettext_lazy(
        "Demain, s’il ne pleut pas, nous irons jusqu’au phare\u00a0: la vue sur l’océan y est magnifique\u202f!"
    ),
)
LANGUAGE_NAMES = {language: name for _speech, language, name in reversed(LANGUAGES.values())}


class DescribedForm(forms.Form):
    """The fields that every voice has."""

    title = forms.CharField(label=gettext_lazy("Titre"), max_length=MAX_TITLE)
    description = forms.CharField(
        label=gettext_lazy("Description (facultatif)"),
        max_length=MAX_DESCRIPTION,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    tags = forms.CharField(
        label=gettext_lazy("Étiquettes, séparées par des virgules (facultatif)"),
        max_length=1_400,
        required=False,
    )

    def __init__(self, data: Any = None, files: Any = None, **options: Any) -> None:
        super().__init__(data, files, label_suffix="", **options)

    @property
    def tag_list(self) -> list[str]:
        return [tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]

    def to_fields(self) -> VoiceFields:
        """Return the fields of a new voice. Raises InvalidRequest."""
        values = self.cleaned_data
        return clean_fields(title=values["title"], description=values["description"], tags=self.tag_list)

    def changes(self) -> dict[str, Any]:
        """Return the fields of a voice that is edited."""
        return {
            "title": self.cleaned_data["title"],
            "description": self.cleaned_data["description"],
            "tags": self.tag_list,
        }


class CloneForm(DescribedForm):
    """Recordings come as uploads (`voices`) or from the browser's microphone (`recording-1` and on)."""

    consent = forms.BooleanField(required=False)

    @property
    def recordings(self) -> list[tuple[UploadedFile, str]]:
        """Return the recordings with their words, as far as known."""
        spoken: list[Any] = [
            (self.files[f"recording-{number}"], str(sentence))
            for number, sentence in enumerate(SENTENCES, 1)
            if f"recording-{number}" in self.files
        ]
        return spoken + [(file, "") for file in self.files.getlist("voices")]


class BlendForm(DescribedForm):
    """Up to five voices with their weights, in rows of which empty ones do not count."""

    language = forms.ChoiceField(
        label=gettext_lazy("Langue parlée"),
        choices=[(language, LANGUAGE_NAMES[language]) for language in SPEECH_OF],
        initial=DEFAULT_LANGUAGE,
    )

    def __init__(self, voices: list[Voice], data: Any = None) -> None:
        super().__init__(data, prefix="blend", initial={"language": DEFAULT_LANGUAGE})
        built_in = [voice for voice in voices if voice.kind == Voice.Kind.BUILT_IN]
        own = [voice for voice in voices if voice.kind != Voice.Kind.BUILT_IN]
        groups = ((_("Vos voix"), own), (_("Voix intégrées"), built_in))
        shown = [
            (label, [(voice.public_id, voice.title) for voice in group]) for label, group in groups if group
        ]
        for number in range(1, MAX_PARTS + 1):
            self.fields[f"voice-{number}"] = forms.ChoiceField(
                label=_("Voix {number}").format(number=number),
                choices=[("", _("aucune")), *shown],
                required=False,
                widget=forms.Select(attrs={"data-blend-voice": number}),
            )
            self.fields[f"weight-{number}"] = forms.IntegerField(
                label=_("Poids de la voix {number}").format(number=number),
                min_value=1,
                max_value=100,
                required=False,
                initial=50,
                widget=forms.NumberInput(
                    attrs={"type": "range", "min": 1, "max": 100, "data-blend-weight": number}
                ),
            )

    @property
    def rows(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"voice-{number}"], self[f"weight-{number}"]) for number in range(1, MAX_PARTS + 1)]

    @property
    def parts(self) -> list[Part]:
        """Return the chosen voices with their weights."""
        rows = [
            (self.cleaned_data[f"voice-{number}"], self.cleaned_data[f"weight-{number}"])
            for number in range(1, MAX_PARTS + 1)
        ]
        return [Part(voice_id, float(weight or 50)) for voice_id, weight in rows if voice_id]
