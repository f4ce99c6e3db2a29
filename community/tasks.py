"""Background work of the community."""

from procrastinate.contrib.django import app

from community.index import refresh_index
from community.sync import SyncIsRunning, sync_catalogue
from voices import fish


@app.periodic(cron="23 2 * * *")
@app.task(queue="community", queueing_lock="community-sync")
def mirror_catalogue(timestamp: int) -> None:
    """Mirror Fish Audio's catalogue every night, and put the search index in order."""
    if not fish.is_configured():
        refresh_index()
        return
    try:
        with fish.FishClient() as client:
            sync_catalogue(client=client)
    except SyncIsRunning:
        return
    refresh_index()
