"""Every address of FR02. Paths of the API answer with and without their trailing slash: no redirect on POST."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from fr02 import asyncapi, closing, health, media, metrics, pages

# Operators log in as everybody does, second factor and rate limits included.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", pages.home, name="home"),
    path("developpeurs/", include("fr02.portal_urls")),
    path("mentions-legales", pages.legal, name="legal"),
    path("compte/fermer", closing.close, name="account-close"),
    path("compte/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("media/<path:name>", media.serve_signed, name="signed-media"),
    path("healthz", health.live, name="health-live"),
    path("readyz", health.ready, name="health-ready"),
    path("metrics", metrics.metrics, name="metrics"),
    re_path(r"^api/v1/schema/?$", SpectacularAPIView.as_view(), name="schema"),
    path("asyncapi.yaml", asyncapi.asyncapi, name="asyncapi"),
    path("developpeurs/reference", SpectacularSwaggerView.as_view(url_name="schema"), name="reference"),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("voices.urls")),
    path("", include("community.urls")),
    path("", include("tts.urls")),
    re_path(r"^api/", pages.api_not_found),
]
handler400 = "fr02.pages.bad_request"
handler403 = "fr02.pages.permission_denied"
handler404 = "fr02.pages.not_found"
handler500 = "fr02.pages.server_error"
