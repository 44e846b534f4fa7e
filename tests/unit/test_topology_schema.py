"""What an editor is told of topologies: the schema file beside those that come with the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from testbed.cli.main import main

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
SCHEMA = TOPOLOGIES / "topology.schema.json"
COMMENT = f"# yaml-language-server: $schema={SCHEMA.name}"


def test_the_file_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert SCHEMA.read_text() == capsys.readouterr().out, (
        f"testbed schema > topologies/{SCHEMA.name}"
    )


@pytest.mark.parametrize("path", sorted(TOPOLOGIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_editor_finds_no_fault_in_a_topology_that_comes_with_us(path: Path) -> None:
    text = path.read_text()
    assert COMMENT in text.splitlines()
    jsonschema.Draft202012Validator(_schema()).validate(YAML(typ="safe").load(text))


@pytest.mark.parametrize(
    "text",
    [
        "name: a\nnodse: {n1: {}}\n",
        "name: a\nnodes: {n1: {}}\nproxy: {mode: iptable}\n",
        "name: a\nnodes: {n1: {}}\nworkloads: {web: {replicas: many}}\n",
    ],
)
def test_an_editor_marks_a_mistake(text: str) -> None:
    assert not jsonschema.Draft202012Validator(_schema()).is_valid(YAML(typ="safe").load(text))


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema
