"""`GET /api/v1/schema`: the OpenAPI description, made without a doubt about any name."""

import yaml
from django.core.management import call_command


def test_it_works(client, db):
    response = client.get("/api/v1/schema")
    assert response.status_code == 200
    schema = yaml.safe_load(response.content)
    assert "/api/v1/tts/" in {path.rstrip("/") + "/" for path in schema["paths"]}
    owners = schema["components"]["schemas"]["OwnersVisibilityEnum"]["enum"]
    assert (owners, schema["components"]["schemas"]["VisibilityEnum"]["enum"]) == (
        ["private", "unlist"],
        ["private", "unlist", "public"],
    )


def test_it_is_valid_and_warns_of_nothing(db, tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))
    assert "openapi: 3" in (tmp_path / "schema.yml").read_text()


def test_the_limits_stand_in_it(client, db):
    schema = yaml.safe_load(client.get("/api/v1/schema").content)
    (operation,) = [
        path["post"] for name, path in schema["paths"].items() if name.rstrip("/") == "/api/v1/tts"
    ]
    assert {"RateLimit", "RateLimit-Policy"} <= set(operation["responses"]["200"]["headers"])
