"""containerlab files become topologies: each has its golden one beside it, with the notes that are told.

`REWRITE=1 pytest tests/unit/test_containerlab.py` writes the golden files anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.cli.main import main
from testbed.model.clab_nodes import node_of, part_of
from testbed.model.clab_variables import expanded
from testbed.model.loader import load

CLAB = Path(__file__).with_name("clab")


def imported(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str
) -> tuple[int, str, str]:
    """Exit code, standard output and error of `testbed import lab.clab.yml`."""
    Path("lab.clab.yml").write_text(text)
    monkeypatch.delenv("LAB_NAME", raising=False)
    code = main(["import", "lab.clab.yml", *args])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("path", sorted(CLAB.glob("*.clab.yml")), ids=lambda path: path.stem)
def test_a_file_becomes_its_golden_topology(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = imported(path.read_text(), capsys, monkeypatch)
    assert code == 0
    golden = path.with_name(path.name.replace(".clab.yml", ".yaml"))
    if os.environ.get("REWRITE"):
        golden.write_text(out)
    assert out == golden.read_text()
    noted = [line.removeprefix("# - ") for line in out.splitlines() if line.startswith("# - ")]
    assert err.splitlines() == noted


@pytest.mark.parametrize("path", sorted(CLAB.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_comes_out_passes_check(path: Path) -> None:
    assert load(path).nodes


WRONG = {
    "a node that is not there": (
        'topology: {nodes: {a: {kind: linux}}, links: [{endpoints: ["a:eth1", "b:eth1"]}]}',
        "there is no node b",
    ),
    "an interface with two links": (
        "topology: {nodes: {a: {kind: linux}, b: {kind: linux}}, links: ["
        '{endpoints: ["a:eth1", "b:eth1"]}, {endpoints: ["a:eth1", "b:eth2"]}]}',
        "a:eth1 is an end of link 1 already",
    ),
    "an endpoint without an interface": (
        'topology: {nodes: {a: {kind: linux}}, links: [{endpoints: ["a", "b:eth1"]}]}',
        "an endpoint is node:interface",
    ),
    "three endpoints": (
        'topology: {nodes: {a: {kind: linux}}, links: [{endpoints: ["a:1", "b:1", "c:1"]}]}',
        "a link has two endpoints",
    ),
    "a link of no known type": (
        "topology: {nodes: {a: {kind: linux}}, links: [{type: wire, endpoints: []}]}",
        "no kind of link is called wire",
    ),
    "an extended link whose end has no interface": (
        "topology: {nodes: {a: {kind: linux}}, links: [{type: veth, endpoints: [{node: a}]}]}",
        "each endpoint has a node and an interface",
    ),
    "no nodes": ("topology: {nodes: {}}", "a lab has nodes"),
    "no topology": ("topology:", "must be a mapping, not nothing"),
    "nobody is a node of the cluster": (
        "topology: {nodes: {r: {kind: nokia_srlinux}}}",
        "no machine would be a node of the cluster",
    ),
    "a role that there is not": (
        "topology: {nodes: {a: {kind: linux, labels: {testbed.role: leaf}}}}",
        "'leaf' is no role",
    ),
    "labels that are a list": (
        "topology: {defaults: {labels: [a]}, nodes: {a: {kind: linux}}}",
        "must be a mapping, not a list",
    ),
    "exec that is a text": (
        "topology: {nodes: {a: {kind: linux, exec: ip link}}}",
        "must be a list, not the text 'ip link'",
    ),
    "no YAML": ("topology: {nodes: {a: {kind: linux}}", "lab.clab.yml"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_place(
    text: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = imported("name: x\n" + text, capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert said in err


OVERRIDES = {
    "the command line comes before labels and kinds": (("*=host", "a*=router"), "router"),
    "the last one that fits counts": (("a*=router", "*=host"), "host"),
    "one that does not fit changes nothing": (("b=host",), "node"),
}


@pytest.mark.parametrize(("given", "role"), OVERRIDES.values(), ids=OVERRIDES)
def test_roles_of_the_command_line(given: tuple[str, ...], role: str) -> None:
    pairs = tuple((one.split("=")[0], one.split("=")[1]) for one in given)
    labels = {"testbed.role": "node"}
    node = node_of("a1", {"nodes": {"a1": {"kind": "bridge", "labels": labels}}})
    assert part_of(node, pairs).role == role  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--role", "a"), "--role a is not NAME=ROLE"),
        (("--role", "a=leaf"), "--role a=leaf is not NAME=ROLE"),
        (("--role", "lefa*=router"), "--role lefa*=router fits no node of the file"),
        (("lab.clab.yml",), "lab.clab.yml is a containerlab file (import it by itself)"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = (CLAB / "clos.clab.yml").read_text()
    code, _, err = imported(text, capsys, monkeypatch, *arguments)
    assert (code, said in err) == (2, True), err


def test_roles_are_for_containerlab_files(capsys: pytest.CaptureFixture[str]) -> None:
    Path("dump.yaml").write_text("apiVersion: v1\nkind: List\nitems: []\n")
    assert main(["import", "dump.yaml", "--role", "a=node"]) == 2
    assert "--role is for the nodes of a containerlab file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"),
        ("${A:=2}", "1"),
        ("${B:=2}", "2"),
        ("${B:-x y}", "x y"),
        ("${B}", ""),
        ("$A {A}", "$A {A}"),
    ],
)
def test_variables(text: str, value: str) -> None:
    assert expanded(text, {"A": "1"}) == value


def test_what_a_node_inherits() -> None:
    """Node over group over kind over defaults; labels merged, exec lines added up."""
    topology = {
        "defaults": {"kind": "linux", "image": "d", "labels": {"a": 1, "b": 1}, "exec": ["d"]},
        "kinds": {"linux": {"group": "g", "labels": {"b": 2, "c": 2}, "exec": ["k"]}},
        "groups": {"g": {"image": "g", "labels": {"c": 3}, "exec": ["g"]}},
        "nodes": {"n": {"labels": {"d": 4}, "exec": ["n"]}, "m": {"image": "own"}},
    }
    node = node_of("n", topology)
    assert (node.kind, node.image, node.commands) == ("linux", "g", ("d", "k", "g", "n"))
    assert node.labels == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert node_of("m", topology).image == "own"
