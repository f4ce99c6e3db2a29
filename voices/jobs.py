"""Plan background work on a voice."""

import contextlib

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued


def defer_once(task: str, *, voice_key: int, delay_s: float = 0.0) -> None:
    """Have a task of voices.tasks done for a voice, unless the same one is waiting already."""
    planned = app.configure_task(
        f"voices.tasks.{task}",
        queueing_lock=f"{task}-{voice_key}",
        schedule_in={"seconds": round(delay_s)} if delay_s else None,
    )
    with contextlib.suppress(AlreadyEnqueued), transaction.atomic():
        planned.defer(voice_key=voice_key)
