"""The addresses of voices."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
