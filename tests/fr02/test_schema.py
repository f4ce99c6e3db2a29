"""`GET /api/v1/schema`: what it says of every operation. Whether it is true, tests/test_schema_fuzz.py finds out."""

import pytest
from django.core.management import call_command

from fr02.error_catalogue import CATALOGUE

SCHEMA = "/api/v1/schema"


@pytest.fixture
def schema(client, db):
    return client.get(SCHEMA, {"format": "json"}).json()


def operations(schema):
    return {op["operationId"]: op for item in schema["paths"].values() for op in item.values()}


def test_it_works(schema):
    assert schema["openapi"].startswith("3.")
    assert {"tts_create", "tts_history", "voices_list", "community_models_list"} < set(operations(schema))
    schemas = schema["components"]["schemas"]
    assert schemas["OwnersVisibilityEnum"]["enum"] == ["private", "unlist"]
    assert schemas["VisibilityEnum"]["enum"] == ["private", "unlist", "public"]


def test_it_is_valid_and_warns_of_nothing(db, tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))
    assert "openapi: 3" in (tmp_path / "schema.yml").read_text()


def test_the_limits_stand_in_it(schema):
    responses = operations(schema)["tts_create"]["responses"]
    assert all(
        {"RateLimit", "RateLimit-Policy"} <= set(responses[status]["headers"]) for status in ("200", "4XX")
    )


@pytest.mark.parametrize(
    ("query", "accept", "content_type"),
    [
        ("", "*/*", "application/vnd.oai.openapi"),
        ("?format=yaml", "*/*", "application/vnd.oai.openapi"),
        ("?format=json", "*/*", "application/vnd.oai.openapi+json"),
        ("", "application/json", "application/json"),
        ("", "application/octet-stream", "application/vnd.oai.openapi"),
    ],
)
def test_it_comes_as_asked(client, db, query, accept, content_type):
    response = client.get(SCHEMA + query, headers={"Accept": accept})
    assert response.status_code == 200
    assert response["Content-Type"].split(";")[0] == content_type


def test_another_format_is_refused(client, db):
    response = client.get(SCHEMA + "?format=xml")
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/format")


def test_every_operation_may_be_refused_with_a_problem(schema):
    for operation in operations(schema).values():
        for range_ in ("4XX", "5XX"):
            assert list(operation["responses"][range_]["content"]) == ["application/problem+json"]
    pattern = schema["components"]["schemas"]["Problem"]["properties"]["code"]["pattern"]
    assert pattern == "^[a-z_]+$"
    assert all(entry.code.replace("_", "").islower() for entry in CATALOGUE)


def test_fields_that_nobody_reads_are_ruled_out(schema):
    schemas = schema["components"]["schemas"]
    for name in ("SpeechRequest", "QuoteRequest", "BlendRequest", "PatchedChangesRequest", "ReportRequest"):
        assert schemas[name]["additionalProperties"] is False
    assert (schemas["BlendRequest"]["properties"]["blend"] | {"items": None}) == {
        "type": "array",
        "items": None,
        "minItems": 1,
        "maxItems": 5,
    }


def test_the_limits_of_the_text_are_those_of_the_door(schema, settings):
    schemas = schema["components"]["schemas"]
    assert schemas["SpeechRequest"]["properties"]["text"]["maxLength"] == settings.TEXT_LIMIT_REST
    assert schemas["QuoteRequest"]["properties"]["text"]["maxLength"] == settings.TEXT_LIMIT_SOCKET


def test_what_is_taken_back_answers_200(schema):
    for name in ("community_models_unlike", "voices_unpublish"):
        assert "200" in operations(schema)[name]["responses"]
    assert "204" in operations(schema)["voices_delete"]["responses"]


def test_words_for_the_readers_of_the_code_stay_there(schema):
    described = [operation.get("description", "") for operation in operations(schema).values()]
    described += [item.get("description", "") for item in schema["components"]["schemas"].values()]
    assert not any("Refuse " in text or "Validate " in text or "Show " in text for text in described)
