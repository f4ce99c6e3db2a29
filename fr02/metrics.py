"""`GET /metrics`: how FR02 is doing, in Prometheus' text format, for the operator's monitoring.

What is read from the database holds for all processes and is the same whichever of them answers. What the local engine
of a process has to do only that process knows: its samples carry the process's id.
"""

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.models import Hold
from tts.engines.kokoro import kokoro_engine
from tts.models import Generation
from voices.models import UpstreamAlarm, UpstreamSlot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Sums over all time would read the whole table at each scrape.
WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class Metric:
    """One metric: its samples are pairs of labels and a value."""

    name: str
    kind: str
    help: str
    samples: list[tuple[dict[str, str], float]]


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer who sends METRICS_TOKEN as a bearer, and operators; for everybody else there is nothing here."""
    if not _is_permitted(request):
        raise Http404
    return HttpResponse(render(_all()), content_type=CONTENT_TYPE)


def render(metrics: Iterable[Metric]) -> str:
    """Return metrics as text (https://prometheus.io/docs/instrumenting/exposition_formats/).

    No label of ours holds a quote, a backslash or the end of a line.
    """
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, value in metric.samples:
            inner = ",".join(f'{name}="{label}"' for name, label in labels.items())
            lines.append(f"{metric.name}{'{' + inner + '}' if inner else ''} {value:.15g}")
    return "\n".join([*lines, ""])


def _is_permitted(request: HttpRequest) -> bool:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    return request.user.is_active and request.user.is_staff


def _all() -> list[Metric]:
    return [*_speech(), *_local_engine(), *_upstream(), *_ledger()]


def _speech() -> list[Metric]:
    ended = Generation.objects.filter(hold__closed_at__gte=timezone.now() - WINDOW)
    rows = ended.values("engine", "status").order_by("engine", "status")
    counted = list(rows.annotate(count=Count("pk"), duration_ms=Sum("duration_ms")))
    running = Generation.objects.filter(status=Generation.Status.PENDING).values("engine").order_by("engine")
    labels = [{"engine": row["engine"], "status": row["status"]} for row in counted]
    return [
        Metric(
            "fr02_generations",
            "gauge",
            "Syntheses that ended within the last hour.",
            [(label, row["count"]) for label, row in zip(labels, counted, strict=True)],
        ),
        Metric(
            "fr02_audio_seconds",
            "gauge",
            "Seconds of audio that these syntheses delivered.",
            [(label, row["duration_ms"] / 1000) for label, row in zip(labels, counted, strict=True)],
        ),
        Metric(
            "fr02_generations_running",
            "gauge",
            "Syntheses that are going on.",
            [({"engine": row["engine"]}, row["count"]) for row in running.annotate(count=Count("pk"))],
        ),
    ]


def _local_engine() -> list[Metric]:
    load = kokoro_engine().load
    values = (
        ("listeners", "Listeners that this process speaks to.", load.listeners),
        ("segments_waiting", "Segments that wait for a worker of this process.", load.waiting),
        ("workers_busy", "Workers of this process that speak.", load.busy),
        ("workers", "Workers that this process has.", load.workers),
    )
    process = {"process": str(os.getpid())}
    return [
        Metric(f"fr02_local_engine_{name}", "gauge", words, [(process, value)])
        for name, words, value in values
    ]


def _upstream() -> list[Metric]:
    used = UpstreamSlot.objects.filter(expires_at__gt=timezone.now()).count()
    is_open = set(UpstreamAlarm.objects.filter(resolved_at=None).values_list("kind", flat=True))
    alarms = UpstreamAlarm.objects.values("kind").order_by("kind")
    rung = dict(alarms.annotate(total=Sum("count")).values_list("kind", "total"))
    kinds = UpstreamAlarm.Kind.values
    return [
        Metric("fr02_upstream_slots_used", "gauge", "Requests in flight at Fish Audio.", [({}, used)]),
        Metric(
            "fr02_upstream_slots_limit",
            "gauge",
            "Requests that may be in flight there at once.",
            [({}, settings.FISH_CONCURRENCY)],
        ),
        Metric(
            "fr02_upstream_alarm_open",
            "gauge",
            "1 while something is wrong that only the operator can put right.",
            [({"kind": kind}, kind in is_open) for kind in kinds],
        ),
        Metric(
            "fr02_upstream_alarms_total",
            "counter",
            "Refusals of Fish Audio that were such an alarm.",
            [({"kind": kind}, rung.get(kind, 0)) for kind in kinds],
        ),
    ]


def _ledger() -> list[Metric]:
    return [
        Metric("fr02_holds_open", "gauge", "Holds that reserve credit.", [({}, Hold.objects.open().count())]),
        Metric(
            "fr02_holds_overdue",
            "gauge",
            "Open holds whose time is up: the sweeper does not run.",
            [({}, Hold.objects.overdue().count())],
        ),
    ]
