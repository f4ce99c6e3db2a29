"""The addresses of accounts."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("developpeurs/cles", views.api_keys, name="api-keys"),
    path("developpeurs/cles/<uuid:key_id>/revoquer", views.revoke_api_key, name="api-key-revoke"),
    path("developpeurs/cles/<uuid:key_id>/secours", views.set_failover, name="api-key-failover"),
]
