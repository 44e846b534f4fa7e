"""`testbed schema`: the JSON Schema of a topology, for editors and for reading."""

from __future__ import annotations

import argparse
from typing import Any

from testbed.cli.output import add_output_option, emit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output_option(parser, default="json")


def run(args: argparse.Namespace) -> int:
    """Print it; the table lists every key with its default and what it means."""
    from testbed.model.topology import Topology

    schema = Topology.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    if args.output == "table":
        emit(args, keys(schema), {name.upper(): _picker(name) for name in COLUMNS})
    else:
        emit(args, schema)
    return 0


COLUMNS = ("key", "default", "description")


def _picker(name: str) -> Any:
    return lambda row: row[name]


def keys(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per key; `*` stands for a name that the writer chooses, `[]` for an item of a list."""
    rows: list[dict[str, Any]] = []
    _collect(schema, "", schema.get("$defs", {}), rows)
    return rows


def _collect(
    part: dict[str, Any], prefix: str, definitions: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    for name, value in part.get("properties", {}).items():
        key = f"{prefix}{name}"
        target = _target(value, definitions)
        if "properties" in target and "description" in value:
            default: Any = ""
        else:
            default = value.get("default", "")
        description = value.get("description", "")
        rows.append({"key": key, "default": default, "description": description})
        _collect(target, f"{key}.", definitions, rows)
        entries = target.get("additionalProperties")
        if isinstance(entries, dict):
            _collect(_target(entries, definitions), f"{key}.*.", definitions, rows)
        items = target.get("items")
        if isinstance(items, dict):
            _collect(_target(items, definitions), f"{key}[].", definitions, rows)


def _target(value: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """What a reference, or the one alternative that is not null, refers to."""
    for alternative in (value, *value.get("allOf", ()), *value.get("anyOf", ())):
        if "$ref" in alternative:
            found: dict[str, Any] = definitions[alternative["$ref"].rpartition("/")[2]]
            return found
    return value
