"""Background work of billing."""

from procrastinate.contrib.django import app


@app.task(queue="billing")
def watch_credit(account_id: int) -> None:
    """Do what a low balance asks for: a mail, an automatic top-up."""
