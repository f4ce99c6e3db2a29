"""Take the pictures of the documentation: `python -m tests.screenshots` writes docs/img/*.png.

The pages are those of a real server on the development database; their account is kept for the next time.
"""

import os
import tempfile
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fr02.settings")
django.setup()

from django.core.management import call_command  # noqa: E402  Django must be set up first
from playwright.sync_api import Browser, expect  # noqa: E402

from accounts.models import User  # noqa: E402
from accounts.services import create_api_key, create_verified_user  # noqa: E402
from tests.browser import DESKTOP, PHONE, Visit, open_browser  # noqa: E402
from tests.servers import ROOT, start_server  # noqa: E402

IMAGES = ROOT / "docs" / "img"
EMAIL, PASSWORD = "camille@exemple.fr", "une phrase pour les images"
VISITOR_PICTURES = {
    "developpeurs": ("/developpeurs/", DESKTOP, "light"),
    "developpeurs-sombre": ("/developpeurs/", DESKTOP, "dark"),
    "developpeurs-mobile": ("/developpeurs/", PHONE, "light"),
    "connexion": ("/compte/login/", DESKTOP, "light"),
    "erreurs": ("/developpeurs/erreurs", DESKTOP, "dark"),
    "communaute": ("/communaute/", DESKTOP, "light"),
    "tarifs": ("/tarifs/", DESKTOP, "light"),
}
ACCOUNT_PICTURES = {
    "cles": ("/developpeurs/cles", DESKTOP, "light"),
    "cles-mobile": ("/developpeurs/cles", PHONE, "dark"),
    "credit": ("/credit/", DESKTOP, "light"),
    "voix": ("/voix/", DESKTOP, "light"),
}


def main() -> None:
    """Start the server, take every picture, stop the server."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    user = User.objects.filter(email=EMAIL).first() or create_verified_user(email=EMAIL, password=PASSWORD)
    user.api_keys.all().delete()
    for name in ("Site vitrine", "Application mobile", "Standard téléphonique"):
        create_api_key(user=user, name=name)
    with tempfile.TemporaryDirectory() as folder:
        server = start_server(Path(folder), Path(folder))
        try:
            with open_browser() as browser:
                take_all(browser, server.url)
        finally:
            server.stop()


def take_all(browser: Browser, url: str) -> None:
    """Take the pictures of a visitor, of an account, and of the playground while it speaks."""
    for name, (path, window, scheme) in VISITOR_PICTURES.items():
        take(Visit(browser, url, viewport=window, color_scheme=scheme), path, name)
    for name, (path, window, scheme) in ACCOUNT_PICTURES.items():
        reader = Visit(browser, url, viewport=window, color_scheme=scheme)
        reader.log_in(EMAIL, PASSWORD)
        take(reader, path, name)
    page = Visit(browser, url).log_in(EMAIL, PASSWORD)
    page.click("text=Parler")
    expect(page.locator("[data-play=state]")).to_have_text("Audio complet.", timeout=60_000)
    page.locator("#essayer").screenshot(path=IMAGES / "essayer.png")
    print(IMAGES / "essayer.png")


def take(reader: Visit, path: str, name: str) -> None:
    """Write one picture of a whole page, when that page exists."""
    page = reader.open(path)
    if page.locator(".error-page").count():
        print(f"{path}: pas de page")
        return
    page.screenshot(path=IMAGES / f"{name}.png", full_page=True)
    print(IMAGES / f"{name}.png")
    reader.context.close()


if __name__ == "__main__":
    main()
