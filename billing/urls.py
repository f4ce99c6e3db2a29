"""The addresses of billing."""

from django.urls import path, re_path

from billing import api, views

urlpatterns = [
    path("credit/", views.credit, name="billing-credit"),
    path("credit/recharger", views.top_up, name="billing-top-up"),
    path("credit/carte", views.save_card, name="billing-save-card"),
    path("credit/recharge-automatique", views.automatic_top_up, name="billing-automatic"),
    path("credit/retour", views.come_back, name="billing-return"),
    path("credit/ecritures.csv", views.entries_csv, name="billing-entries-csv"),
    path("tarifs/", views.pricing, name="billing-pricing"),
    path("stripe/webhook", views.stripe_webhook, name="stripe-webhook"),
    re_path(r"^api/v1/account/credit/?$", api.CreditView.as_view(), name="account-credit"),
    re_path(r"^api/v1/account/usage/?$", api.UsageView.as_view(), name="account-usage"),
]
