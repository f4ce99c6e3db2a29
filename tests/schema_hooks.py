"""What schemathesis loads into its own process: what FR02 promises beyond its schema, and bodies that hit something.

`FR02_FUZZ` is a JSON object: `codes` says which statuses each error code may have, `voices` are ids of real voices.
"""

import json
import os

import schemathesis

FUZZ = json.loads(os.environ["FR02_FUZZ"])
# What no customer may ever read.
INSIDE = ("Traceback", 'File "', "django", "psycopg", "SELECT ")
SPOKEN_CHARACTERS = 12


@schemathesis.check
def refusals_are_problems(context, response, case):
    """Every error is a problem object with a known code, whatever was sent."""
    request_id = response.headers["x-request-id"]
    if response.status_code < 400:
        return
    problem = response.json()
    assert response.headers["content-type"] == ["application/problem+json"]
    assert problem["status"] == response.status_code
    assert response.status_code in FUZZ["codes"][problem["code"]], problem["code"]
    assert [problem["request_id"]] == request_id
    assert problem["detail"]
    assert not any(word in response.text for word in INSIDE)
    if response.status_code == 405:
        assert response.headers["allow"]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Give blends real voices, and let no text take long to speak."""
    if not isinstance(case.body, dict):
        return
    if isinstance(parts := case.body.get("blend"), list):
        for part, voice_id in zip(parts, FUZZ["voices"], strict=False):
            if isinstance(part, dict) and isinstance(part.get("voice_id"), str):
                part["voice_id"] = voice_id
    text = case.body.get("text")
    if case.path.startswith("/api/v1/tts/") and isinstance(text, str) and len(text) <= 2000 and text.strip():
        case.body["text"] = text.strip()[:SPOKEN_CHARACTERS]
