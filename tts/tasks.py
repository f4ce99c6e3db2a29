"""Background work of speech."""

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from fr02.errors import StorageUnavailable
from tts.services import erase_account_audio as erase_audio
from tts.services import sweep_generations
from tts.uses import count_voice_uses


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="sweep_generations")
def close_abandoned_generations(timestamp: int) -> None:
    """Close what a crash left open, every minute."""
    sweep_generations()


@app.periodic(cron="43 3 * * *")
@app.task(queueing_lock="count_uses")
def count_uses(timestamp: int) -> None:
    """Count every night how often each voice spoke."""
    count_voice_uses()


# 4 s, 16 s, 64 s … 18 h: an outage of a day is outlived.
@app.task(retry=RetryStrategy(max_attempts=9, exponential_wait=4, retry_exceptions={StorageUnavailable}))
def erase_account_audio(user_id: int) -> None:
    """Erase what a closed account had spoken, some hundred files at a time, until nothing is left."""
    if erase_audio(user_id=user_id):
        erase_account_audio.configure(schedule_in={"seconds": 5}).defer(user_id=user_id)
