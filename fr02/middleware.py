"""What every HTTP answer of FR02 carries. Each runs on the event loop as it is."""

import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from whitenoise.middleware import WhiteNoiseMiddleware

from fr02.errors import Fr02Error
from fr02.pages import refusal, wrong_method

Handler = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob: {media}",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self' {payment}",
    )
)
# django-unfold and the interactive reference carry inline styles and Alpine expressions: they get a policy of their own.
LOOSE_POLICY = CONTENT_SECURITY_POLICY.replace(
    "script-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'"
).replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
LOOSE_PATHS = ("/admin/", "/developpeurs/reference")


class _Middleware:
    async_capable = sync_capable = True

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest):
        self.before(request)
        if iscoroutinefunction(self):
            return self._acall(request)
        return self.after(request, self.get_response(request))  # type: ignore[arg-type]

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        return self.after(request, await self.get_response(request))

    def before(self, request: HttpRequest) -> None:
        pass

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response


class RequestId(_Middleware):
    """Name each request, in the answer and in its problem object."""

    def before(self, request: HttpRequest) -> None:
        request.request_id = uuid.uuid4().hex  # type: ignore[attr-defined]

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        return response


class Refusals(_Middleware):
    """Turn a refusal that a page's view raises into the error page, and the empty 405 of a decorator too.

    Who logs in after having sent a form is led to the address of the form, which takes no GET.
    """

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        response = await self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            return await sync_to_async(self.after)(request, response)
        return response

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return wrong_method(request, response) if isinstance(response, HttpResponseNotAllowed) else response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        return refusal(request, exception) if isinstance(exception, Fr02Error) else None


class SecurityHeaders(_Middleware):
    """Let a page load nothing from another host, save the audio of the S3 storage."""

    def after(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        policy = LOOSE_POLICY if request.path.startswith(LOOSE_PATHS) else CONTENT_SECURITY_POLICY
        bucket = urlsplit(settings.S3_ENDPOINT_URL if settings.S3_BUCKET else "")
        # A form of the credit page leads to Stripe, and browsers follow no redirect of a form to anywhere else.
        payment = (
            (settings.STRIPE_API_BASE or "https://checkout.stripe.com") if settings.STRIPE_SECRET_KEY else ""
        )
        policy = policy.format(media=bucket._replace(path="").geturl(), payment=payment)
        response.setdefault("Content-Security-Policy", policy.replace(" ;", ";").strip())
        return response


class StaticFiles(_Middleware):
    """Serve the static files with WhiteNoise, which is synchronous, without taking other requests off the loop."""

    def __init__(self, get_response: Handler) -> None:
        super().__init__(get_response)
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        self.whitenoise = WhiteNoiseMiddleware(lambda request: None)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(settings.STATIC_URL):
            response = await sync_to_async(self.whitenoise, thread_sensitive=False)(request)
            if response is not None:
                return response
        return await self.get_response(request)

    def __call__(self, request: HttpRequest):
        if iscoroutinefunction(self):
            return self._acall(request)
        return self.whitenoise(request) or self.get_response(request)
