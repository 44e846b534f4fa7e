"""`check`, `schema` and `render`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from testbed.cli.main import main
from testbed.model.loader import load
from testbed.model.manifest import from_manifest
from testbed.model.shorthand import expand_allocated

QUICKSTART = Path(__file__).parents[2] / "topologies" / "quickstart.yaml"
WRONG = "name: lab\nnodes: {n1: {zon: a}}\nnetwork: {mtu: big}\n"


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG)
    return file


def test_check_says_what_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(QUICKSTART)]) == 0
    assert capsys.readouterr().out == f"{QUICKSTART}: valid: 3 nodes, 6 pods, 2 services\n"


def test_up_wants_some_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", str(QUICKSTART), "--timeout", "0"]) == 2
    assert "--timeout leaves no time at all" in capsys.readouterr().err


def test_check_in_json_is_empty_when_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(QUICKSTART), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_check_in_json_has_a_row_per_problem(
    wrong: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(wrong), "-o", "json"]) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [
        {
            "file": str(wrong),
            "line": 2,
            "column": 14,
            "path": "nodes.n1.zon",
            "message": "unknown key 'zon'",
            "hint": "did you mean zone?",
        },
        {
            "file": str(wrong),
            "line": 3,
            "column": 16,
            "path": "network.mtu",
            "message": "must be a whole number, not the text 'big'",
            "hint": "",
        },
    ]
    assert printed.err == f"testbed: {wrong}: 2 problems\n"


def test_check_prints_a_line_per_problem(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(wrong)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        f"{wrong}:2:14: nodes.n1.zon: unknown key 'zon' (did you mean zone?)",
        f"{wrong}:3:16: network.mtu: must be a whole number, not the text 'big'",
        f"testbed: {wrong}: 2 problems",
    ]


def test_check_takes_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(QUICKSTART), "--set", "workloads.web.replicas=9"]) == 0
    assert "12 pods" in capsys.readouterr().out


def test_the_schema_describes_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    parts = [schema, *schema["$defs"].values()]
    keys = {
        name: value.get("description", "")
        for part in parts
        for name, value in part.get("properties", {}).items()
    }
    assert {"podCIDR", "minSyncPeriod", "readinessProbe", "clusterIP", "apiDelay"} <= keys.keys()
    assert [name for name, text in keys.items() if not text] == []


def test_the_schema_as_a_table_has_a_line_per_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "-o", "table"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("workloads.*.replicas ") for line in lines)
    assert any(line.startswith("services.*.ports[].nodePort ") for line in lines)


def test_render_prints_yaml_documents_that_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(QUICKSTART)]) == 0
    documents = list(YAML(typ="safe").load_all(capsys.readouterr().out))
    objects = tuple(from_manifest(document) for document in documents)
    assert objects == expand_allocated(load(QUICKSTART))


def test_render_in_json_is_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(QUICKSTART), "-o", "json"]) == 0
    rendered = json.loads(capsys.readouterr().out)
    assert rendered["kind"] == "List"
    assert len(rendered["items"]) == 9


def test_rendered_objects_are_manifests_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A render minus its nodes and DNS, given back under `manifests:`, renders to the same."""
    assert main(["render", str(QUICKSTART), "-o", "json"]) == 0
    rendered = json.loads(capsys.readouterr().out)
    own = [item for item in rendered["items"] if item["metadata"].get("namespace") == "default"]
    (tmp_path / "all.yaml").write_text(json.dumps({**rendered, "items": own}))
    lab = tmp_path / "lab.yaml"
    lab.write_text("name: lab\nnodes: {n1: {}, n2: {}, n3: {zone: b}}\nmanifests: [all.yaml]\n")
    assert main(["render", str(lab), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == rendered
