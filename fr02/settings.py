"""Every setting of FR02: one line each, with the variable that changes it and its default."""

from pathlib import Path

import psycopg.conninfo
from botocore.config import Config
from django.templatetags.static import static

from fr02 import embedded, env

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = env.path("FR02_VAR_DIR", BASE_DIR / "var")

# ── Who is asked, and how far it may be trusted ──────────────────────────────────────────────────
DEBUG = env.boolean("DEBUG", False)
IS_PRODUCTION = env.boolean("FR02_PRODUCTION", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
# Sockets opened by a page of another origin are refused unless it stands here.
SOCKET_ORIGINS = env.words("SOCKET_ORIGINS")
SECRET_KEY = env.secret("SECRET_KEY", VAR_DIR / "secrets" / "django")
# API keys are stored as HMAC-SHA-256 under a pepper; the older ones still open until they are rotated out.
API_KEY_PEPPERS = {1: env.secret("API_KEY_PEPPER", VAR_DIR / "secrets" / "pepper")}
API_KEY_PEPPER_VERSION = 1
MEDIA_SIGNING_KEY = env.secret("MEDIA_SIGNING_KEY", VAR_DIR / "secrets" / "media")
# Who may read /metrics without being an operator: whoever sends it as a bearer.
METRICS_TOKEN = env.text("METRICS_TOKEN")
SITE_URL = env.text("SITE_URL", f"http://localhost:{env.integer('PORT', 8000)}")

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SESSION_COOKIE_HTTPONLY = True
# In a cookie of their own they would be a third one, beside the two that the legal page names.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SECURE_SSL_REDIRECT = IS_PRODUCTION and env.boolean("SECURE_SSL_REDIRECT", True)
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_PRODUCTION
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_PRODUCTION else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# ── The house ────────────────────────────────────────────────────────────────────────────────────
INSTALLED_APPS = [
    "daphne",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "channels",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "procrastinate.contrib.django",
    "rest_framework",
    "storages",
    "fr02",
    "accounts",
    "billing",
    "voices",
    "community",
    "tts",
]
# Each of these runs on the event loop as it is: one synchronous middleware would cost every request a thread.
MIDDLEWARE = [
    "fr02.middleware.RequestId",
    "fr02.middleware.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "fr02.middleware.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "fr02.middleware.Refusals",
]
ROOT_URLCONF = "fr02.urls"
ASGI_APPLICATION = "fr02.asgi.application"
CSRF_FAILURE_VIEW = "fr02.pages.csrf_failure"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# ── Database: PostgreSQL, always ─────────────────────────────────────────────────────────────────
DATABASE_URL = env.text("DATABASE_URL") or embedded.database_url(VAR_DIR)
_conninfo = psycopg.conninfo.conninfo_to_dict(DATABASE_URL)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _conninfo.pop("dbname", "fr02"),
        "USER": _conninfo.pop("user", ""),
        "PASSWORD": _conninfo.pop("password", ""),
        "HOST": _conninfo.pop("host", ""),
        "PORT": _conninfo.pop("port", ""),
        # A connection of the pool that PostgreSQL has closed meanwhile is replaced before it is used.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            # What is left of the address: `sslmode` and whatever else stands behind its question mark.
            **_conninfo,
            # For the ledger's statements (billing.database); Django's own cursors prepare nothing.
            "prepare_threshold": 5,
            "pool": {
                "min_size": 1,
                "max_size": env.integer("DATABASE_POOL_SIZE", 20),
                "timeout": 10,
            },
        },
        "TEST": {"NAME": env.text("TEST_DATABASE_NAME") or None},
    }
}
# Threads through which asynchronous code reaches the database (fr02.bridge).
DATABASE_THREADS = env.integer("DATABASE_THREADS", 8)

# ── Accounts ─────────────────────────────────────────────────────────────────────────────────────
AUTH_USER_MODEL = "accounts.User"
# The address is unique whatever its case (constraint `user_email_unique`), which the check cannot see.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/developpeurs/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/developpeurs/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = env.text("ACCOUNT_EMAIL_VERIFICATION", "mandatory")
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[FR02] "
ACCOUNT_PREVENT_ENUMERATION = True
# How many reverse proxies stand in front: their X-Forwarded-For tells who limits count and who consents.
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXIES", 0)
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
DEMO_EMAIL = env.text("DEMO_EMAIL", "demo@fr02.localhost")

EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.integer("EMAIL_PORT", 587)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
# A request that sends a mail (sign-up, new password) waits for its server no longer.
EMAIL_TIMEOUT = 10
EMAIL_USE_TLS = env.boolean("EMAIL_USE_TLS", True)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "FR02 <ne-pas-repondre@fr02.localhost>")

# ── The publisher, as the law wants it shown (/mentions-legales) ─────────────────────────────────
PUBLISHER = env.text("PUBLISHER")
PUBLISHER_EMAIL = env.text("PUBLISHER_EMAIL")
PUBLICATION_DIRECTOR = env.text("PUBLICATION_DIRECTOR")
HOSTING_PROVIDER = env.text("HOSTING_PROVIDER")

# ── REST ─────────────────────────────────────────────────────────────────────────────────────────
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiKeyAuthentication",
        "accounts.authentication.PortalAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["fr02.json_body.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "fr02.errors.AnyAccept",
    "DEFAULT_SCHEMA_CLASS": "fr02.schema.Schema",
    "EXCEPTION_HANDLER": "fr02.errors.handle_exception",
    "STRICT_JSON": True,
    "COERCE_DECIMAL_TO_STRING": False,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FR02",
    "DESCRIPTION": "API de synthèse vocale française. La WebSocket est décrite dans [asyncapi.yaml](/asyncapi.yaml).",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "VisibilityEnum": "voices.models.Voice.Visibility",
        "OwnersVisibilityEnum": "voices.api.OWNERS_VISIBILITIES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "fr02.schema.describe_refusals",
    ],
}

# ── Admin ────────────────────────────────────────────────────────────────────────────────────────
UNFOLD = {
    "SITE_TITLE": "FR02",
    "SITE_HEADER": "FR02",
    "SITE_SUBHEADER": "Administration",
    "SITE_URL": "/developpeurs/",
    # What only the operator can put right at Fish Audio: a badge on every page, a sentence on the first.
    "ENVIRONMENT": "voices.admin.alarm_badge",
    "DASHBOARD_CALLBACK": "voices.admin.show_alarms",
    "SITE_ICON": lambda request: static("img/icon.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/icon.svg")},
    ],
    "COLORS": {
        "primary": {
            "50": "#f1f2fd",
            "100": "#e8eafa",
            "200": "#cdd2f6",
            "300": "#a3aeff",
            "400": "#7683ee",
            "500": "#4757da",
            "600": "#2a3cc4",
            "700": "#1d2c9c",
            "800": "#1b277d",
            "900": "#1b1e33",
            "950": "#11131f",
        },
    },
}

# ── Speech ───────────────────────────────────────────────────────────────────────────────────────
TEXT_LIMIT_REST = env.integer("TEXT_LIMIT_REST", 2_000)
TEXT_LIMIT_SOCKET = env.integer("TEXT_LIMIT_SOCKET", 10_000)
SOCKET_IDLE_SECONDS = env.number("SOCKET_IDLE_SECONDS", 60)
# How long a client may take nothing of what is sent to it; the audio made so far is charged.
CLIENT_STILL_SECONDS = env.number("CLIENT_STILL_SECONDS", 60)
SOCKET_MESSAGE_BYTES = 64 * 1024
SOCKETS_PER_ACCOUNT = env.integer("SOCKETS_PER_ACCOUNT", 20)
KOKORO_MODEL_PATH = env.path("KOKORO_MODEL_PATH", VAR_DIR / "kokoro" / "model.onnx")
KOKORO_VOICES_DIR = env.path("KOKORO_VOICES_DIR", VAR_DIR / "kokoro" / "voices")
KOKORO_WORKERS = env.integer("KOKORO_WORKERS", 0)
KOKORO_DEFAULT_VOICE = env.text("KOKORO_DEFAULT_VOICE", "ff_siwis")

FISH_API_KEY = env.text("FISH_API_KEY")
FISH_BASE_URL = env.text("FISH_BASE_URL", "https://api.fish.audio")
FISH_MODEL = env.text("FISH_MODEL", "s2.1-pro")
# How many requests the platform's account may have in flight: 5, 15 or 50 by what was prepaid.
FISH_CONCURRENCY = env.integer("FISH_CONCURRENCY", 5)
FISH_CONNECT_SECONDS = env.number("FISH_CONNECT_SECONDS", 5)
FISH_FIRST_BYTE_SECONDS = env.number("FISH_FIRST_BYTE_SECONDS", 20)
FISH_CHUNK_SECONDS = env.number("FISH_CHUNK_SECONDS", 15)
FISH_TOTAL_SECONDS = env.number("FISH_TOTAL_SECONDS", 600)
# How long a session in which nothing is left to say keeps its upstream socket and slot.
FISH_IDLE_SECONDS = env.number("FISH_IDLE_SECONDS", 10)
# How long one request or socket may hold an upstream slot, however slowly its listener takes the sound.
FISH_SESSION_SECONDS = env.number("FISH_SESSION_SECONDS", 3_600)
FISH_MANAGEMENT_SECONDS = env.number("FISH_MANAGEMENT_SECONDS", 60)
# The domains whose addresses are shown as samples of mirrored voices.
FISH_SAMPLE_DOMAINS = env.words("FISH_SAMPLE_DOMAINS", "fish.audio")

# ── Private voices ───────────────────────────────────────────────────────────────────────────────
VOICES_PER_ACCOUNT = env.integer("VOICES_PER_ACCOUNT", 100)
# What the recordings of one clone may weigh together as they are sent; a larger body is refused before it is read.
CLONE_UPLOAD_BYTES = env.integer("CLONE_UPLOAD_BYTES", 64 * 1024 * 1024)
# How long they must and may last together, counted after decoding.
CLONE_MIN_SECONDS = env.number("CLONE_MIN_SECONDS", 10)
CLONE_MAX_SECONDS = env.number("CLONE_MAX_SECONDS", 600)
CLONE_POLL_SECONDS = env.number("CLONE_POLL_SECONDS", 3)
CLONE_DEADLINE_SECONDS = env.number("CLONE_DEADLINE_SECONDS", 900)
# How the catalogue is mirrored: requests a second (0: as fast as it goes) and at most in one run.
COMMUNITY_SYNC_PER_SECOND = env.number("COMMUNITY_SYNC_PER_SECOND", 4)
COMMUNITY_SYNC_REQUESTS = env.integer("COMMUNITY_SYNC_REQUESTS", 50_000)

# ── Money (micro-euros) ──────────────────────────────────────────────────────────────────────────
WELCOME_CREDIT_MICROS = env.integer("WELCOME_CREDIT_MICROS", 2_000_000)
DEMO_CREDIT_MICROS = env.integer("DEMO_CREDIT_MICROS", 10_000_000)
STREAMS_PER_ACCOUNT = env.integer("STREAMS_PER_ACCOUNT", 16)
REQUESTS_PER_MINUTE = env.integer("REQUESTS_PER_MINUTE", 600)
STRIPE_SECRET_KEY = env.text("STRIPE_SECRET_KEY")
STRIPE_WEBHOOK_SECRETS = env.words("STRIPE_WEBHOOK_SECRETS")
STRIPE_API_BASE = env.text("STRIPE_API_BASE")
# Balances below which the customer gets a mail, once per crossing, the highest first.
LOW_CREDIT_MICROS = [1_000_000, 200_000]
TOPUP_PACKS_MICROS = [5_000_000, 10_000_000, 25_000_000, 100_000_000]
TOPUP_MIN_MICROS = env.integer("TOPUP_MIN_MICROS", 5_000_000)
TOPUP_MAX_MICROS = env.integer("TOPUP_MAX_MICROS", 1_000_000_000)

# ── Audio storage: a folder with FR02's own signed links, or S3 (Supabase) ───────────────────────
MEDIA_DIR = env.path("FR02_MEDIA_DIR", VAR_DIR / "media")
AUDIO_LINK_SECONDS = env.integer("AUDIO_LINK_SECONDS", 300)
S3_BUCKET = env.text("S3_BUCKET")
S3_REGION = env.text("S3_REGION", "us-east-1")
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL", f"https://s3.{S3_REGION}.amazonaws.com")
_audio_storage = (
    {
        "BACKEND": "fr02.s3.AudioBucket",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": S3_ENDPOINT_URL,
            "region_name": S3_REGION,
            "access_key": env.text("S3_ACCESS_KEY"),
            "secret_key": env.text("S3_SECRET_KEY"),
            "querystring_auth": True,
            "querystring_expire": AUDIO_LINK_SECONDS,
            "default_acl": None,
            "file_overwrite": False,
            # A storage that hangs must not outlive the hold of the synthesis that it keeps waiting.
            "client_config": Config(
                # Without it the links come out in the old signature, which Supabase refuses.
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=20,
                retries={"max_attempts": 2},
                # Checksums in trailers are Amazon's own; many an S3 refuses them.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
            "object_parameters": {"CacheControl": f"private, max-age={AUDIO_LINK_SECONDS}"},
        },
    }
    if S3_BUCKET
    else {"BACKEND": "fr02.media.SignedFileStorage", "OPTIONS": {"location": MEDIA_DIR}}
)
STORAGES = {
    "default": _audio_storage,
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"] + [
    (package, folder)
    for package, folder in (
        ("uplot", BASE_DIR / "node_modules" / "uplot" / "dist"),
        ("wavesurfer", BASE_DIR / "node_modules" / "wavesurfer.js" / "dist"),
    )
    if folder.is_dir()
]
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
WHITENOISE_MAX_AGE = 3600

# ── Words and time ───────────────────────────────────────────────────────────────────────────────
LANGUAGE_CODE = "fr"
LANGUAGES = [("fr", "Français")]
TIME_ZONE = "Europe/Paris"
USE_I18N = USE_TZ = True
LOCALE_PATHS = [BASE_DIR / "locale"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        # They would write request addresses, with tickets and signatures in them.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "procrastinate": {"level": "WARNING"},
        # It repeats what the exception says, once a second.
        "psycopg.pool": {"level": "ERROR"},
    },
}
