"""The list of keys: by hint, with state and dates, the account's own only."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import ApiKey
from accounts.services import create_api_key, revoke_api_key

URL = "/developpeurs/cles"


def test_it_works(client, alice):
    client.force_login(alice.user)
    key = ApiKey.objects.get()
    page = client.get(URL).content.decode()
    assert key.hint in page
    assert key.name in page
    assert "Active" in page
    assert alice.key not in page


def test_an_expired_key_is_called_so(client, alice):
    client.force_login(alice.user)
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "Expirée" in client.get(URL).content.decode()


def test_what_still_opens_comes_first(client, alice):
    client.force_login(alice.user)
    old = ApiKey.objects.get()
    new, _secret = create_api_key(user=alice.user, name="Nouvelle")
    revoke_api_key(user=alice.user, key_id=new.pk)
    newest, _secret = create_api_key(user=alice.user, name="Dernière")
    assert [key.pk for key in client.get(URL).context["keys"]] == [newest.pk, old.pk, new.pk]


def test_an_account_sees_its_own_only(client, alice, bob):
    client.force_login(bob.user)
    assert [key.user_id for key in client.get(URL).context["keys"]] == [bob.user.pk]


def test_no_key_yet(client, charlie):
    client.force_login(charlie.user)
    ApiKey.objects.all().delete()
    assert "Aucune clé pour l’instant" in client.get(URL).content.decode()


def test_local_failover_is_offered_only_beside_a_cloud_engine(client, alice, settings):
    client.force_login(alice.user)
    key = ApiKey.objects.get()
    assert f"{key.pk}/secours" not in client.get(URL).content.decode()
    settings.FISH_API_KEY = "fish-test"
    assert "Permettre le secours local" in client.get(URL).content.decode()
    client.post(f"{URL}/{key.pk}/secours", {"is_allowed": "True"})
    assert ApiKey.objects.get().allows_failover
    assert "Couper le secours local" in client.get(URL).content.decode()
    client.post(f"{URL}/{key.pk}/secours", {"is_allowed": "False"})
    assert not ApiKey.objects.get().allows_failover


def test_failover_of_somebody_elses_key_is_not_found(client, alice, bob):
    client.force_login(bob.user)
    key = ApiKey.objects.get(user=alice.user)
    assert client.post(f"{URL}/{key.pk}/secours", {"is_allowed": "True"}).status_code == 404
    key.refresh_from_db()
    assert not key.allows_failover


def test_the_switch_of_the_failover_keeps_the_place_on_the_keyboard(client, alice, settings):
    """htmx gives the focus back to what has the same id in the new part."""
    client.force_login(alice.user)
    settings.FISH_API_KEY = "fish-test"
    key = ApiKey.objects.get()
    for is_allowed in ("True", "False"):
        page = client.post(f"{URL}/{key.pk}/secours", {"is_allowed": is_allowed}, follow=True)
        assert f'id="secours-{key.pk}"' in page.content.decode()
