"""Mirror Fish Audio's catalogue, one narrow query after the other, and go on where an interruption left it.

Each page is one transaction: its voices, its place in the run, and the cursor of its query. A run that was
killed repeats at most the page that it was asking for. Voices that no page of a complete run showed are asked
for by their id, because a page shows a moving window, and retired when Fish Audio no longer knows them.
"""

import contextlib
import time
from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from community.index import refresh_index
from community.models import SyncPage, SyncQuery, SyncRun
from community.sync_plan import first_queries, narrower_queries, split
from community.sync_store import Stored, retire, store_models, unseen_voices
from fr02.locks import only_one
from voices import alarms
from voices.fish import (
    FishClient,
    FishError,
    FishForbidden,
    FishInvalid,
    FishModel,
    FishNotFound,
    FishPage,
)
from voices.models import UpstreamAlarm

PAGE_SIZE = 100
# The query under which voices asked for by their id are kept; it stands in no order of Fish Audio's.
BY_ID = "id"
ID_BATCH = 50
MOST_BY_ID = 2_000
TIMEOUT_S, ATTEMPTS = 20.0, 8

Report = Callable[[SyncRun], None]


class SyncIsRunning(Exception):
    """Another process is mirroring the catalogue."""


def mirror_client() -> FishClient:
    """Return a client with the patience of background work: a second and again while customers have every slot.

    Its requests are short, and so is what a killed run keeps of the slots.
    """
    return FishClient(timeout_s=TIMEOUT_S, attempts=ATTEMPTS)


def sync_catalogue(*, client: FishClient, report: Report | None = None) -> SyncRun:
    """Mirror the catalogue; return the run, which stays open for the next call when it has had its requests.

    `report(run)` is called after each page. Raises SyncIsRunning, or FishError with the cursor kept; the operator
    hears of the latter until a call succeeds.
    """
    with only_one("community.sync") as is_mine:
        if not is_mine:
            raise SyncIsRunning()
        try:
            run = _go_on(client, report)
        except FishError as error:
            alarms.raise_alarm(error=error)
            alarms.ring(kind=UpstreamAlarm.Kind.MIRROR, detail=error.message)
            raise
        alarms.resolve(kind=UpstreamAlarm.Kind.MIRROR)
    return run


def _go_on(client: FishClient, report: Report | None) -> SyncRun:
    run = _open_run()
    enough = run.request_count + settings.COMMUNITY_SYNC_REQUESTS
    pace = Pace(settings.COMMUNITY_SYNC_PER_SECOND)
    while run.request_count < enough and (query := _next_query(run)):
        pace.wait()
        _take_page(run, query, client)
        if report:
            report(run)
    if run.request_count < enough:
        _check_unseen(run, client, pace)
        _finish(run)
    return run


@transaction.atomic
def _open_run() -> SyncRun:
    run = SyncRun.objects.filter(finished_at=None).first()
    if run is None:
        last = SyncRun.objects.order_by("-pk").first()
        run = SyncRun.objects.create(checked_key=last.checked_key if last else 0)
        _add(run, first_queries())
    return run


def _next_query(run: SyncRun) -> SyncQuery | None:
    """Return the query to go on with, widening the plan once the first queries are through."""
    query = run.queries.filter(is_done=False).exclude(sort_by=BY_ID).order_by("pk").first()
    if query is None and not run.is_narrowed:
        with transaction.atomic():
            _add(run, narrower_queries(run))
            _change(run, is_narrowed=True)
        query = run.queries.filter(is_done=False).exclude(sort_by=BY_ID).order_by("pk").first()
    return query


def _take_page(run: SyncRun, query: SyncQuery, client: FishClient) -> None:
    number = query.next_page
    try:
        page = client.list_models(
            page_size=PAGE_SIZE,
            page_number=number,
            title=query.title or None,
            tag=query.tag or None,
            language=query.language or None,
            sort_by=query.sort_by,
        )
    except FishInvalid:
        # A page behind the window, or a filter it does not like: nothing more is to be had from this query.
        page = FishPage(items=[], total=0, has_more=False, is_window_limited=number > 1)
    with transaction.atomic():
        stored = store_models(page.items)
        stored.skipped_count += page.malformed_count
        SyncPage.objects.create(query=query, number=number, fish_ids=[model.id for model in page.items])
        _advance(run, query, page)
        _count(run, stored, request_count=1)


def _advance(run: SyncRun, query: SyncQuery, page: FishPage) -> None:
    query.next_page += 1
    query.is_limited = query.is_limited or page.is_window_limited
    query.is_done = not page.has_more or not page.items
    query.save(update_fields=["next_page", "is_limited", "is_done"])
    if query.is_done and query.is_limited:
        _add(run, split(query))


def _check_unseen(run: SyncRun, client: FishClient, pace: "Pace") -> None:
    """Ask for voices that no page showed; what is checked counts as seen, so a killed check goes on too.

    There may be more than one run asks for: the next run goes on behind the last one asked for, and from the oldest
    again after the newest.
    """
    query, _is_new = SyncQuery.objects.get_or_create(run=run, sort_by=BY_ID)
    while query.next_page <= MOST_BY_ID // ID_BATCH:
        unseen = unseen_voices(run=run, after=run.checked_key, limit=ID_BATCH)
        if not unseen and not run.checked_key:
            break
        if not unseen:
            _change(run, checked_key=0)
            continue
        fish_ids = [fish_id for _key, fish_id in unseen]
        models, gone = _asked_by_id(run, client, pace, fish_ids)
        with transaction.atomic():
            stored = store_models(models)
            SyncPage.objects.create(query=query, number=query.next_page, fish_ids=fish_ids)
            query.next_page += 1
            query.save(update_fields=["next_page"])
            _change(run, checked_key=unseen[-1][0])
            _count(run, stored, request_count=len(fish_ids), retired_count=retire(fish_ids=gone))


def _asked_by_id(
    run: SyncRun, client: FishClient, pace: "Pace", fish_ids: list[str]
) -> tuple[list[FishModel], list[str]]:
    """Return the voices that are there, and the ids of those that are gone or no longer ours to see."""
    models, gone, refused = [], [], []
    for fish_id in fish_ids:
        pace.wait()
        try:
            models.append(client.get_model(fish_id))
        except FishNotFound:
            gone.append(fish_id)
        except FishForbidden:
            refused.append(fish_id)
    if refused:
        _check_key(run, client)
    return models, gone + refused


def _check_key(run: SyncRun, client: FishClient) -> None:
    """Raise FishForbidden when it is our key that is refused, not a voice: one that was just listed is, too."""
    pages = SyncPage.objects.filter(query__run=run).exclude(query__sort_by=BY_ID).exclude(fish_ids=[])
    page = pages.order_by("-pk").first()
    if page is None:
        raise FishForbidden("no voice may be seen", status=403)
    with contextlib.suppress(FishNotFound):
        client.get_model(page.fish_ids[0])


def _finish(run: SyncRun) -> None:
    if run.created_count or run.changed_count or run.retired_count:
        refresh_index()
    with transaction.atomic():
        # The cursor and the list of what was seen are of no more use.
        SyncPage.objects.filter(query__run=run).delete()
        run.queries.all().delete()
        _change(run, finished_at=timezone.now())


def _add(run: SyncRun, queries: list[SyncQuery]) -> None:
    for query in queries:
        query.run = run
    SyncQuery.objects.bulk_create(queries, ignore_conflicts=True)


def _count(run: SyncRun, stored: Stored, *, request_count: int, retired_count: int = 0) -> None:
    added = {
        "request_count": request_count,
        "created_count": stored.created_count,
        "changed_count": stored.changed_count,
        "skipped_count": stored.skipped_count,
        "retired_count": retired_count,
    }
    SyncRun.objects.filter(pk=run.pk).update(**{name: F(name) + number for name, number in added.items()})
    for name, number in added.items():
        setattr(run, name, getattr(run, name) + number)


def _change(run: SyncRun, **values: object) -> None:
    SyncRun.objects.filter(pk=run.pk).update(**values)
    for name, value in values.items():
        setattr(run, name, value)


class Pace:
    """Keep to so many requests a second."""

    def __init__(self, per_second: float):
        self.gap_s = 1 / per_second if per_second > 0 else 0.0
        self.next_at = 0.0

    def wait(self) -> None:
        now = time.monotonic()
        if now < self.next_at:
            time.sleep(self.next_at - now)
        self.next_at = max(now, self.next_at) + self.gap_s
