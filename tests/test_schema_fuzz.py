"""What the OpenAPI schema says is what FR02 does: schemathesis asks a running server everything that it can think of.

The requests are the same in every run. Nothing leaves this machine: Fish Audio is the stand-in.
"""

import json
import os
import subprocess
import sys
import uuid

import httpx
import pytest
from django.test import Client

from billing.services import hold_credit
from fr02.error_catalogue import CATALOGUE
from tests.servers import start_server
from tests.voices.conftest import _stand_in, fish
from tts.models import Generation
from voices.builtin import builtin_id
from voices.models import Voice

__all__ = ["_stand_in", "fish"]

MAX_EXAMPLES = 10
# It takes 30 s on two quiet cores.
SECONDS = 300
CSRF = "c" * 32
CONFIG = """
[dictionaries]
voices = {{ values = {voices} }}
generations = {{ values = {generations} }}

[parameters]
"path.voice_id" = {{ dictionary = "voices", probability = 0.5 }}
"path.generation_id" = {{ dictionary = "generations", probability = 0.5 }}
"query.voice_id" = {{ dictionary = "voices", probability = 0.5 }}

[auth.openapi]
ApiKey = {{ api_key = "{key}" }}

[[operations]]
include-name = "POST /api/v1/tts/stream-token/"
headers = {{ Cookie = "sessionid={session}; csrftoken={csrf}", X-CSRFToken = "{csrf}" }}
# It takes nothing but the session, and that is in each request.
checks.negative_data_rejection.enabled = false

[checks]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 429]

# What a schema cannot say: a period that ends before it begins, the same voice twice in a blend, a clone published
# without consent, a title of invisible characters, a text without anything to pronounce.
[[operations]]
include-name = [
    "GET /api/v1/account/usage/", "POST /api/v1/voices/", "PATCH /api/v1/voices/{{voice_id}}/",
    "POST /api/v1/voices/{{voice_id}}/publish/", "POST /api/v1/tts/",
]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409, 429]
"""


@pytest.fixture
def server(stage, media_dir, fish, tmp_path):
    server = start_server(
        tmp_path,
        media_dir,
        FISH_API_KEY="cle-de-la-plateforme",
        FISH_BASE_URL=fish.base_url,
        REQUESTS_PER_MINUTE="100000",
    )
    yield server
    server.stop()


@pytest.fixture
def things(alice):
    """Voices and syntheses of Alice's that requests can meet: the ids, the same in every run."""
    reference = {"styles": [["ff_siwis", 0.5], ["af_heart", 0.5]], "language": "fr-fr"}
    voices = [
        Voice.objects.create(
            public_id=f"{n:032x}",
            owner=alice.user,
            kind=kind,
            engine="kokoro",
            title=f"{kind} {n}",
            reference=reference,
        ).public_id
        for n, kind in enumerate(("blend", "clone") * 3, 1)
    ]
    generations = [
        Generation.objects.create(
            pk=uuid.UUID(int=n),
            user=alice.user,
            hold=hold_credit(user_id=alice.user.pk, amount_micros=0, life_s=60),
            engine="kokoro",
            source="rest",
            status="done",
            text="Bonjour.",
            voice_title="Ma première voix",
            format="mp3",
            sample_rate=24_000,
            characters=8,
            segments=[{"text": "Bonjour.", "start_ms": 0, "end_ms": 900}],
        ).pk.hex
        for n in range(1, 5)
    ]
    built_in = [builtin_id(style) for style in ("ff_siwis", "af_heart", "am_adam")]
    return {"voices": [*voices, *built_in], "generations": generations}


def schema_of(server):
    return httpx.get(f"{server.url}/api/v1/schema?format=json").json()


def run_schemathesis(folder, person, things, server, schema, *options):
    """Run it in a process of its own; return what it printed, and its report."""
    client = Client()
    client.force_login(person.user)
    config, report = folder / "schemathesis.toml", folder / "report.json"
    # From a file: it would leave out the address that it loads a schema from.
    description = folder / "schema.json"
    description.write_text(json.dumps(schema))
    names = {name: json.dumps(values) for name, values in things.items()}
    session = client.cookies["sessionid"].value
    config.write_text(CONFIG.format(key=person.key, session=session, csrf=CSRF, **names))
    codes = {}
    for entry in CATALOGUE:
        codes.setdefault(entry.code, []).append(entry.status)
    command = [
        *(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            config,
            "run",
            description,
            "--url",
            server.url,
        ),
        *("--phases=coverage,fuzzing", f"--max-examples={MAX_EXAMPLES}", "--generation-deterministic"),
        *("--report-json-path", report, "--no-color", "--continue-on-failure", *options),
    ]
    fuzz = {"codes": codes, "voices": things["voices"]}
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.schema_hooks",
        "PYTHONPATH": os.getcwd(),
        "FR02_FUZZ": json.dumps(fuzz),
    }
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert report.exists(), run.stdout + run.stderr
    return run, json.loads(report.read_text())


def test_it_works(server, alice, things, tmp_path):
    schema = schema_of(server)
    run, report = run_schemathesis(tmp_path, alice, things, server, schema)
    assert run.returncode == 0, run.stdout + run.stderr
    count = sum(map(len, schema["paths"].values()))
    assert (report["operations"]["tested"], report["operations"]["skipped"]) == (count, 0)
    assert report["test_cases"]["generated"] > 40 * count
    assert " ERROR " not in server.log.read_text()
    assert Generation.objects.filter(user=alice.user, source="rest", status="done", size__gt=0).exists()
    assert not Generation.objects.filter(user=alice.user, status="pending").exists()


def test_a_schema_that_lies_is_found_out(server, alice, things, tmp_path):
    schema = schema_of(server)
    schema["components"]["schemas"]["Credit"]["properties"]["balance_micros"] = {"type": "string"}
    options = ("--include-operation-id", "account_credit")
    run, report = run_schemathesis(tmp_path, alice, things, server, schema, *options)
    assert run.returncode == 1
    assert [failure["type"] for failure in report["failures"]] == ["JsonSchemaError"]
