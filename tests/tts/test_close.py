"""The end of a synthesis when the database fails at that moment."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from billing.models import Hold
from tests.servers import start_server
from tests.tts.test_socket import HELLO, assert_nothing_lost, listen, say
from tts.checkpoints import EVERY_S
from tts.models import Generation
from tts.services import sweep_generations

BREAK = """
    CREATE FUNCTION test_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER test_refuse BEFORE UPDATE ON tts_generation FOR EACH ROW
        WHEN (NEW.status <> 'pending') EXECUTE FUNCTION test_refuse();
"""
MEND = "DROP TRIGGER IF EXISTS test_refuse ON tts_generation; DROP FUNCTION IF EXISTS test_refuse()"


def run_sql(statements):
    with connection.cursor() as cursor:
        cursor.execute(statements)


@pytest.fixture
def broken(stage, media_dir, tmp_path):
    """A server whose database does not take the end of any synthesis."""
    server = start_server(tmp_path, media_dir)
    run_sql(BREAK)
    yield server
    run_sql(MEND)
    server.stop()


def in_background(server, person):
    heard = {}

    def run():
        heard["answer"] = listen(server.url, person.headers, say(HELLO, format="mp3"))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, heard


def test_a_failure_that_passes_costs_nothing(broken, alice):
    thread, heard = in_background(broken, alice)
    deadline = time.monotonic() + 60
    while "not closed" not in broken.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run_sql(MEND)
    thread.join(60)
    sounds, texts, code = heard["answer"]
    assert (texts, code) == ([], 1000)
    row = Generation.objects.get()
    assert (row.status, row.size) == ("done", sum(map(len, sounds)))
    assert_nothing_lost(alice, 12_000_000 - row.cost_micros)


def test_what_stays_open_is_left_to_the_sweeper(broken, alice):
    thread, heard = in_background(broken, alice)
    thread.join(60)
    assert heard["answer"][2] == 1011
    hold = Hold.objects.get()
    time.sleep(2 * EVERY_S)  # as long as a checkpoint may be on its way
    assert Hold.objects.get().expires_at == hold.expires_at
    run_sql(MEND)
    Hold.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep_generations() == 1
    row = Generation.objects.get()
    assert row.status in ("partial", "failed")
    assert_nothing_lost(alice, 12_000_000 - row.cost_micros)
