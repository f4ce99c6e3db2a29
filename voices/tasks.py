"""Background work of voices."""

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from fr02.media import STORAGE_ERRORS
from voices import cloning, erasing
from voices.fish import FishError
from voices.jobs import defer_once

# 4 s, 16 s, 64 s … 18 h: an outage of a day is outlived.
PATIENT = RetryStrategy(max_attempts=9, exponential_wait=4, retry_exceptions={FishError, *STORAGE_ERRORS})


@app.task(queue="voices")
def advance_clone(voice_key: int) -> None:
    """Do one step of a clone and plan the next."""
    delay_s = cloning.advance_clone(voice_key=voice_key)
    if delay_s is not None:
        defer_once("advance_clone", voice_key=voice_key, delay_s=delay_s)


@app.task(queue="voices", retry=PATIENT)
def erase_clone(voice_key: int) -> None:
    """Erase what a clone no longer needs, upstream and here."""
    erasing.erase_clone(voice_key=voice_key)


@app.task(queue="voices", retry=PATIENT)
def describe_clone(voice_key: int) -> None:
    """Tell Fish Audio the new title, description and tags of a clone."""
    cloning.describe_clone(voice_key=voice_key)


@app.periodic(cron="*/5 * * * *")
@app.task(queue="voices", queueing_lock="voices-lost-clones")
def take_up_lost_clones(timestamp: int) -> None:
    """Go on with what was lost with its worker, every five minutes."""
    cloning.take_up_lost_clones()
    erasing.take_up_erasures()
