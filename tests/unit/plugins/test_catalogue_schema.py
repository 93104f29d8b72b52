"""The JSON Schema of ``registry.yaml`` is exported, committed, and what the reader accepts."""

import json
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def test_the_committed_schema_is_the_exported_one(aigc) -> None:
    committed = json.loads((REPOSITORY / "docs/registry.schema.json").read_text(encoding="utf-8"))
    assert committed == json.loads(aigc("plugins", "schema").out), (
        "refresh it with: aigc plugins schema > docs/registry.schema.json"
    )


def test_the_catalogue_tells_editors_where_it_is() -> None:
    text = (REPOSITORY / "registry.yaml").read_text(encoding="utf-8")
    assert "# yaml-language-server: $schema=docs/registry.schema.json" in text


def test_the_schema_describes_its_fields_and_refuses_others(aigc) -> None:
    schema = json.loads(aigc("plugins", "schema").out)
    assert schema["additionalProperties"] is False
    folder = schema["$defs"]["CataloguePlugin"]["properties"]["folder"]
    assert "in a checkout" in folder["description"]
