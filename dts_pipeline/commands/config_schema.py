"""`dts config-schema`: what dts.yaml may hold, as JSON Schema, for editors and for checks in CI."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from dts_pipeline.config import Config


class _Generator(GenerateJsonSchema):
    """Without titles: they would only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def config_schema() -> JsonSchemaValue:
    """The shape that `Config` checks; names that must exist elsewhere are beyond a schema."""
    made = Config.model_json_schema(schema_generator=_Generator)
    return {
        "$schema": _Generator.schema_dialect,
        **made,
        "title": "dts.yaml",
        "description": "The configuration of dts_pipeline; docs/configuration.md has every key.",
    }
