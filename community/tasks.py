"""Background work of the community."""

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from community.index import refresh_index
from community.sync import SyncIsRunning, mirror_client, sync_catalogue
from voices import fish

# 4 s, 16 s, 64 s … 4.5 h: the next night begins anew.
PATIENT = RetryStrategy(max_attempts=7, exponential_wait=4, retry_exceptions={fish.FishError})


@app.periodic(cron="23 2 * * *")
@app.task(queue="community", queueing_lock="community-sync", retry=PATIENT)
def mirror_catalogue(timestamp: int) -> None:
    """Mirror Fish Audio's catalogue every night."""
    if not fish.is_configured():
        return
    try:
        with mirror_client() as client:
            sync_catalogue(client=client)
    except SyncIsRunning:
        return


@app.periodic(cron="53 4 * * *")
@app.task(queue="community", queueing_lock="community-index")
def refresh_search_index(timestamp: int) -> None:
    """Put the search index in order every night, whatever became of the mirror."""
    refresh_index()
