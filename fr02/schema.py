"""What the OpenAPI description says of every operation alike; the rest stands beside the views."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from rest_framework import serializers

STRING = {"type": "string"}
PROBLEM = {
    "type": "object",
    "properties": {
        "type": STRING | {"format": "uri-reference"},
        "title": STRING,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": STRING,
        "code": STRING | {"pattern": "^[a-z_]+$"},
        "request_id": STRING,
        "retry_after_s": {"type": "integer", "minimum": 1, "description": "Comme l’en-tête Retry-After."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"pointer": STRING, "detail": STRING},
                "required": ["pointer", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
}
REFUSAL = {
    "description": "Refus (RFC 9457). Codes\u00a0: /developpeurs/erreurs.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class Schema(AutoSchema):
    """Describe an operation in the words of its method; the docstring of its class is for who reads the code."""

    def get_description(self) -> str:  # type: ignore[override]  # as drf-spectacular's own
        return get_doc(getattr(self.view, self.method.lower(), None))


class StrictObject(OpenApiSerializerExtension):
    """Say that fields which nobody reads are refused, and how many items a list takes."""

    target_class = "fr02.json_body.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        schema["additionalProperties"] = False
        for name, field in self.target.fields.items():
            if isinstance(field, serializers.ListSerializer):
                most = getattr(field, "max_length", None)
                limits = {"minItems": 0 if field.allow_empty else 1, "maxItems": most}
                schema["properties"][name] |= {key: limit for key, limit in limits.items() if limit}
        return schema


def describe_refusals(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """Add the problem object to every operation, and that an empty parameter counts as none."""
    schemas = result["components"]["schemas"]
    for schema in schemas.values():
        if "properties" in schema:
            schema.pop("description", None)  # the docstring of its serializer
    schemas["Problem"] = PROBLEM
    _describe_itself(result["paths"]["/api/v1/schema/"]["get"])
    for item in result["paths"].values():
        for operation in item.values():
            for statuses in ("4XX", "5XX"):
                operation["responses"][statuses] = operation["responses"].get(statuses, {}) | REFUSAL
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query":
                    parameter["allowEmptyValue"] = True
    return result


def _describe_itself(operation: dict[str, Any]) -> None:
    """Describe the schema's own address in French, without a choice of languages: there is one."""
    operation["summary"] = "Cette description (OpenAPI)"
    operation["description"] = "En YAML ; en JSON avec `?format=json`, ou si l’en-tête Accept le demande."
    operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "lang"]
