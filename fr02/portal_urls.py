"""The addresses of the developer page."""

from django.urls import path

from fr02 import pages

urlpatterns = [
    path("", pages.developers, name="developers"),
    path("client_fr02.py", pages.client_script, name="client-script"),
    path("erreurs", pages.error_catalogue, name="error-catalogue"),
]
