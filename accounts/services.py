"""The writes of accounts: keys, tickets, the demo account. Each is the only one of its kind."""

import base64
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import keys
from accounts.models import ApiKey, StreamTicket, User
from fr02.errors import InvalidApiKey, InvalidRequest, NotFound

KEYS_PER_ACCOUNT = 50
LAST_USED_EVERY = timedelta(minutes=1)
TICKET_LIFE = timedelta(seconds=60)


@dataclass(frozen=True)
class Caller:
    """Who asks: the account, and the key it used (None for the portal and browser tickets)."""

    user_id: int
    key_id: uuid.UUID | None = None
    allows_failover: bool = False


def create_api_key(*, user: User, name: str, expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which nothing can show again."""
    name = name.strip()
    if not name or len(name) > 80:
        raise InvalidRequest(
            _("Donnez à la clé un nom de 1 à 80 caractères."), pointers=[("/name", _("1 à 80 caractères."))]
        )
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest(
            _("La date d’expiration doit être dans le futur."), pointers=[("/expires_at", _("Date passée."))]
        )
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if user.api_keys.filter(revoked_at=None).count() >= KEYS_PER_ACCOUNT:
            raise InvalidRequest(
                _("Vous avez déjà {count} clés. Révoquez-en une.").format(count=KEYS_PER_ACCOUNT)
            )
        raw = keys.generate_key()
        key = ApiKey.objects.create(
            user=user,
            name=name,
            hint=keys.hint(raw),
            digest=keys.digest(raw),
            pepper_version=settings.API_KEY_PEPPER_VERSION,
            expires_at=expires_at,
        )
    return key, raw


def revoke_api_key(*, user: User, key_id: uuid.UUID) -> None:
    """Revoke a key of this account; once more is not an error."""
    owned = ApiKey.objects.filter(pk=key_id, user=user)
    if not owned.exists():
        raise NotFound()
    owned.filter(revoked_at=None).update(revoked_at=timezone.now())


def set_failover(*, user: User, key_id: uuid.UUID, is_allowed: bool) -> None:
    """Choose whether calls with this key may be finished by the local engine when the cloud engine fails."""
    if not ApiKey.objects.filter(pk=key_id, user=user).update(allows_failover=is_allowed):
        raise NotFound()


def resolve_key(raw: str) -> Caller:
    """Return who a key speaks for. One answer for absent, garbage, unknown, revoked and expired: InvalidApiKey."""
    if not keys.is_well_formed(raw):
        raise InvalidApiKey()
    key = ApiKey.objects.usable().filter(digest__in=keys.digests(raw)).first()
    if key is None:
        raise InvalidApiKey()
    record_use(key)
    return Caller(user_id=key.user_id, key_id=key.pk, allows_failover=key.allows_failover)


def record_use(key: ApiKey) -> None:
    """Note that a key was used, at most once a minute."""
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at <= now - LAST_USED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - LAST_USED_EVERY)
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def usable_key_ids(key_ids: list[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of the keys that still open."""
    return set(ApiKey.objects.usable().filter(pk__in=key_ids).values_list("pk", flat=True))


def create_stream_ticket(*, user: User) -> str:
    """Return a ticket for one browser socket, valid once, for sixty seconds."""
    StreamTicket.objects.filter(expires_at__lt=timezone.now() - timedelta(hours=1)).delete()
    raw = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    StreamTicket.objects.create(user=user, digest=keys.digest(raw), expires_at=timezone.now() + TICKET_LIFE)
    return raw


def redeem_stream_ticket(raw: str) -> Caller:
    """Use a ticket up and return who it speaks for. A second use is refused, however close."""
    now = timezone.now()
    ticket = StreamTicket.objects.filter(digest__in=keys.digests(raw), user__is_active=True).first()
    if ticket is None or not StreamTicket.objects.filter(
        pk=ticket.pk, used_at=None, expires_at__gt=now
    ).update(used_at=now):
        raise InvalidApiKey()
    return Caller(user_id=ticket.user_id)


@transaction.atomic
def create_verified_user(*, email: str, password: str) -> User:
    """Create a user whose e-mail address needs no confirmation."""
    user = User.objects.create_user(email, password)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user
