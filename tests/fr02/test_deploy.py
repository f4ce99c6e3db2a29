"""What `deploy/` says, run as it says it: the units' own commands, and a proxy that agrees with FR02's limits."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from configparser import ConfigParser

import httpx
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

from fr02.body_limit import limit_of
from tests.servers import ROOT, database_url, start_server

PYTHON = "/srv/fr02/.venv/bin/python"


def unit(name):
    """Return the section of a unit that says what runs, and the commands that come before."""
    text = (ROOT / "deploy" / name).read_text()
    parser = ConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    before = re.findall(r"^ExecStartPre=(.*)$", text, re.MULTILINE)
    return parser["Service"], [command(line) for line in before]


def command(line):
    assert line.startswith(f"{PYTHON} ")
    return [sys.executable, *shlex.split(line)[1:]]


def nginx(name):
    """Return the value of a directive that stands once."""
    (value,) = re.findall(rf"^\s*{name}\s+(.*);$", (ROOT / "deploy" / "nginx.conf").read_text(), re.MULTILINE)
    return value


def test_it_works(stage, alice, media_dir, tmp_path):
    service, _before = unit("fr02-web.service")
    arguments = ["{port}" if part == "8000" else part for part in command(service["ExecStart"])]
    assert "{port}" in arguments
    server = start_server(tmp_path, media_dir, arguments)
    try:
        body = {"text": "Bonjour."}
        answer = httpx.post(f"{server.url}/api/v1/tts/", json=body, headers=alice.headers, timeout=60)
        assert answer.status_code == 200
    finally:
        server.stop()


def test_what_runs_before_the_server(stage, settings, tmp_path):
    _service, (check, model) = unit("fr02-web.service")
    secrets = dict.fromkeys(("SECRET_KEY", "API_KEY_PEPPER", "MEDIA_SIGNING_KEY"), "x" * 50)
    environment = os.environ | secrets | {"FR02_PRODUCTION": "True", "DATABASE_URL": database_url()}
    public = {
        "SITE_URL": "https://fr02.example",
        "ALLOWED_HOSTS": "fr02.example",
        "EMAIL_HOST": "smtp.example",
    }
    good = environment | public
    for step in (check, model):
        done = subprocess.run(step, cwd=ROOT, env=good, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert str(settings.KOKORO_MODEL_PATH) in done.stdout
    wrong = environment | {"SITE_URL": "http://fr02.example"}
    refused = subprocess.run(check, cwd=ROOT, env=wrong, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "fr02.E004" in refused.stderr


def test_the_worker_works_and_stops_when_told(stage, alice, tmp_path):
    service, _before = unit("fr02-worker.service")
    environment = os.environ | {"DATABASE_URL": database_url()}
    job = app.configure_task("tts.tasks.erase_account_audio").defer(user_id=alice.user.pk)
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            command(service["ExecStart"]), cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while ProcrastinateJob.objects.filter(pk=job).exists():  # only what failed is kept
            assert worker.poll() is None, (tmp_path / "worker.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(int(service["TimeoutStopSec"])) == 0
    finally:
        worker.kill()
        worker.wait()


def test_the_proxy_agrees_with_the_server(settings):
    service, _before = unit("fr02-web.service")
    assert nginx("server") == f"127.0.0.1:{command(service['ExecStart'])[-2]}"
    largest = int(nginx("client_max_body_size").removesuffix("m")) * 1024 * 1024
    ours = limit_of("/api/v1/voices", b"multipart/form-data")
    assert ours < largest <= ours + 1024 * 1024
    assert int(nginx("proxy_read_timeout").removesuffix("s")) > settings.FISH_TOTAL_SECONDS
    assert nginx("proxy_pass") == "http://fr02"


def test_the_proxy_logs_no_signed_links():
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    servers = re.split(r"^server \{$", text, flags=re.MULTILINE)[1:]
    assert [re.findall(r"^\s*access_log \S+ (\w+);$", server, re.MULTILINE) for server in servers] == [
        ["fr02"]
    ] * 2
    variables = set(re.findall(r"\$\w+", nginx("log_format")))
    assert variables.isdisjoint({"$request", "$request_uri", "$args", "$query_string", "$http_referer"})
