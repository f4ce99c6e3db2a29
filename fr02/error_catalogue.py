"""What each refusal means and what to do: the page that the `type` of every problem object leads to."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from billing.payments import PaymentNotConfigured
from community.search import SearchTooSlow
from fr02 import errors
from fr02.typography import number


@dataclass(frozen=True)
class Entry:
    """One refusal as the page shows it. `close_code` None: no socket ends that way."""

    code: str
    status: int
    close_code: int | None
    title: Any
    cause: Any
    remedy: Any


def _entry(error: type[errors.Fr02Error], cause: Any, remedy: Any, *, ends_sockets: bool = True) -> Entry:
    close_code = error.close_code if ends_sockets else None
    return Entry(error.code, error.status, close_code, errors.TITLES[error.status], cause, remedy)


def _framework_entry(status: int, cause: Any, remedy: Any) -> Entry:
    return Entry(errors.CODES[status], status, None, errors.TITLES[status], cause, remedy)


CATALOGUE = (
    _entry(
        errors.InvalidRequest,
        _(
            "Un champ manque, n’a pas le bon type, sort de ses bornes ou n’existe pas ; ou le corps "
            "n’est pas du JSON."
        ),
        _("Lisez « errors » : chaque champ refusé y figure avec sa raison. Corrigez, puis renvoyez."),
    ),
    _entry(
        errors.IdleTimeout,
        format_lazy(
            _("Une WebSocket est restée sans message ni audio pendant {seconds} secondes."),
            seconds=round(settings.SOCKET_IDLE_SECONDS),
        ),
        _("Envoyez le texte dès l’ouverture\u202f; rouvrez une WebSocket quand il y en a de nouveau."),
    ),
    _entry(
        errors.InvalidApiKey,
        _("La clé manque, est inconnue, révoquée ou expirée. La réponse est la même dans les quatre cas."),
        _("Envoyez une clé active dans l’en-tête X-API-Key. Une WebSocket est refusée avant son ouverture."),
    ),
    _entry(
        errors.InsufficientCredit,
        _("La synthèse coûte plus que votre crédit disponible. Rien n’a été débité."),
        _("« required_micros » et « available_micros » disent combien il manque. Rechargez, puis renvoyez."),
    ),
    _entry(
        errors.Forbidden,
        _(
            "Vous êtes reconnu, mais cette opération ne vous est pas permise : jeton CSRF absent, "
            "lien expiré, droit manquant."
        ),
        _("Demandez un nouveau lien dans l’historique, ou employez le compte qui a ce droit."),
    ),
    _entry(
        errors.NotFound,
        _("L’adresse ou l’objet n’existe pas, ou appartient à un autre compte."),
        _("Vérifiez l’adresse et l’identifiant."),
    ),
    _entry(
        errors.VoiceNotFound,
        _("Aucune voix de cet identifiant, ou une voix privée d’un autre compte."),
        _(
            "Prenez un identifiant de GET /api/v1/voices/ ou de GET /api/v1/community/models, ou "
            "« null » : la voix par défaut."
        ),
    ),
    _entry(
        errors.Conflict,
        _("L’état actuel de l’objet ne permet pas cette opération."),
        _("Relisez l’objet, puis décidez de nouveau."),
    ),
    _entry(
        errors.IdempotencyConflict,
        _("Le même en-tête Idempotency-Key a déjà servi avec un autre corps."),
        _("Une clé d’idempotence par demande : gardez-la pour répéter, changez-la sinon."),
        ends_sockets=False,
    ),
    _entry(
        errors.TextTooLong,
        format_lazy(
            _("Le texte dépasse la limite\u00a0: {rest} caractères par POST, {socket} par WebSocket."),
            rest=number(settings.TEXT_LIMIT_REST),
            socket=number(settings.TEXT_LIMIT_SOCKET),
        ),
        _("Passez à la WebSocket, ou découpez le texte."),
    ),
    _entry(
        errors.FileTooLarge,
        _("Le corps de la requête dépasse la taille admise."),
        _("La réponse dit la limite. Raccourcissez le fichier."),
    ),
    _entry(
        errors.RangeNotSatisfiable,
        _("L’en-tête Range demande des octets qui ne sont pas dans le fichier."),
        _("Content-Range dit la taille du fichier. Demandez une plage plus courte, ou le fichier entier."),
        ends_sockets=False,
    ),
    _entry(
        errors.RateLimited,
        _("Trop de requêtes en une minute."),
        _("Attendez le nombre de secondes de Retry-After."),
    ),
    _entry(
        errors.TooManyStreams,
        _("Trop de synthèses en même temps pour ce compte."),
        _("Attendez qu’une synthèse finisse ; Retry-After dit quand réessayer."),
    ),
    _entry(
        errors.EngineError,
        _("Le moteur a échoué. Ce qui n’a pas été livré n’est pas facturé."),
        _("Réessayez. Si l’erreur dure, donnez-nous son « request_id »."),
    ),
    _entry(
        errors.EngineBusy,
        _("Le moteur est complet : FR02 ne met personne en file d’attente."),
        _("Réessayez après Retry-After, avec un peu de hasard dans l’attente."),
    ),
    _entry(
        errors.EngineUnavailable,
        _("Le moteur de cette voix ne répond pas en ce moment."),
        _("Réessayez plus tard, ou permettez le secours local."),
    ),
    _entry(
        errors.EngineTimeout,
        _("Le moteur n’a pas répondu à temps. Ce qui n’a pas été livré n’est pas facturé."),
        _("Réessayez ; un texte plus court répond plus vite."),
    ),
    _entry(
        SearchTooSlow,
        _("La recherche de voix demandait trop de travail à la base."),
        _("Précisez-la : un mot de plus, une langue, une étiquette."),
        ends_sockets=False,
    ),
    _entry(
        PaymentNotConfigured,
        _("L’exploitant de ce serveur n’a pas branché le paiement."),
        _("Demandez-lui d’accorder du crédit à votre compte."),
        ends_sockets=False,
    ),
    _entry(
        errors.StorageUnavailable,
        _("Le stockage des fichiers audio ne répond pas. Rien n’a changé."),
        _("Réessayez dans quelques minutes."),
        ends_sockets=False,
    ),
    _framework_entry(
        405,
        _("Cette adresse n’accepte pas cette méthode HTTP."),
        _("Prenez la méthode du tableau des endpoints."),
    ),
    _framework_entry(
        415,
        _("Le corps n’est pas du JSON, ou son Content-Type ne le dit pas."),
        _("Envoyez Content-Type: application/json."),
    ),
    _entry(
        errors.InternalError,
        _("Une erreur que nous n’avions pas prévue. Elle est enregistrée."),
        _("Donnez-nous le « request_id » de la réponse."),
    ),
)
