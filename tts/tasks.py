"""Background work of speech."""

from procrastinate.contrib.django import app

from tts.services import sweep_generations


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="sweep_generations")
def close_abandoned_generations(timestamp: int) -> None:
    """Close what a crash left open, every minute."""
    sweep_generations()
