"""The addresses of tts."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
