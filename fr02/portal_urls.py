"""The addresses of the developer page."""

from django.urls import path

from fr02 import pages

urlpatterns = [
    path("", pages.developers, name="developers"),
]
