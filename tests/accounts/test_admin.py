"""The operators' view of accounts and keys."""

import re

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import ApiKey, User

PASSWORD = "Une phrase 42 solide"


@pytest.fixture
def admin(client: Client, db) -> Client:
    client.force_login(User.objects.create_superuser("chef@exemple.fr", PASSWORD))
    return client


def add_customers(count: int, offset: int = 0) -> None:
    users = User.objects.bulk_create(
        User(email=f"client{number}@exemple.fr") for number in range(offset, offset + count)
    )
    ApiKey.objects.bulk_create(
        ApiKey(
            user=user,
            name=f"Projet {user.pk}",
            hint="fr02_live_…abcd",
            digest=user.pk.to_bytes(32),
            pepper_version=1,
        )
        for user in users
    )


def test_createsuperuser_is_the_only_step(client, db, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", email="chef@exemple.fr", interactive=False, verbosity=0)
    entrance = client.get("/admin/login/?next=/admin/")["Location"]
    assert entrance.startswith("/compte/login/")
    answer = client.post(entrance, {"login": "chef@exemple.fr", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    page = client.get("/admin/").content.decode()
    assert "Clés d’API" in page
    assert "Comptes" in page


def test_a_customer_does_not_get_in(client, alice):
    client.force_login(alice.user)
    assert client.get("/admin/accounts/apikey/")["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("address", ["/admin/accounts/user/", "/admin/accounts/apikey/"])
def test_more_rows_cost_no_more_queries(admin, django_assert_max_num_queries, address):
    add_customers(3)
    admin.get(address)
    with django_assert_max_num_queries(100) as few:
        assert admin.get(address).status_code == 200
    add_customers(60, offset=100)
    with django_assert_max_num_queries(len(few)):
        assert "client150@exemple.fr" in admin.get(address).content.decode()


def test_accounts_are_found_by_address(admin):
    add_customers(12)
    page = admin.get("/admin/accounts/user/?q=client11").content.decode()
    assert "client11@exemple.fr" in page
    assert "client7@exemple.fr" not in page


@pytest.mark.parametrize("words", ["client11", "…abcd client11"])
def test_keys_are_found_by_hint_and_owner(admin, words):
    add_customers(12)
    page = admin.get("/admin/accounts/apikey/", {"q": words}).content.decode()
    assert "client11@exemple.fr" in page
    assert "client7@exemple.fr" not in page


def test_a_key_shows_its_hint_only(admin, alice):
    key = ApiKey.objects.get()
    page = admin.get(f"/admin/accounts/apikey/{key.pk}/change/").content.decode()
    assert key.hint in page
    assert alice.key not in page
    assert bytes(key.digest).hex() not in page
    assert not re.search(r'<input[^>]+name="(name|hint|digest|user)"', page)


def test_keys_are_neither_added_nor_deleted_here(admin, alice):
    key = ApiKey.objects.get()
    assert admin.get("/admin/accounts/apikey/add/").status_code == 403
    assert admin.post(f"/admin/accounts/apikey/{key.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.exists()


def test_the_chosen_keys_are_revoked(admin, alice, bob):
    key = ApiKey.objects.get(user=alice.user)
    answer = admin.post(
        "/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [str(key.pk)]}, follow=True
    )
    assert "1 clé révoquée." in answer.content.decode()
    assert Client().get("/api/v1/voices/", HTTP_X_API_KEY=alice.key).status_code == 401
    assert Client().get("/api/v1/voices/", HTTP_X_API_KEY=bob.key).status_code == 200


def test_an_account_is_made_and_changed(admin):
    form = {
        "email": "ami@exemple.fr",
        "usable_password": "true",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    inline = {f"emailaddress_set-{part}": "0" for part in ("TOTAL_FORMS", "INITIAL_FORMS")}
    admin.post("/admin/accounts/user/add/", form | inline)
    user = User.objects.get(email="ami@exemple.fr")
    assert user.check_password(PASSWORD)
    page = admin.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
    assert "Les mots de passe ne sont pas gardés en clair" in page
    admin.post(f"/admin/accounts/user/{user.pk}/change/", {"email": "ami@exemple.fr"} | inline)
    user.refresh_from_db()
    assert not user.is_active
