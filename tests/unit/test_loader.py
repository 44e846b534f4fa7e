"""The loader: files, settings, manifests; and that no text whatever makes it raise anything else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from testbed.cli.output import to_yaml
from testbed.errors import Problem, TopologyError
from testbed.model.loader import load, load_text
from testbed.model.shorthand import expand
from testbed.model.topology import Topology

TOPOLOGIES = Path(__file__).parents[2] / "topologies"
SHIPPED = sorted(TOPOLOGIES.glob("*.yaml"))
TEXTS = {file.stem: file.read_text() for file in SHIPPED}
SMALL = "name: lab\nnodes: {n1: {}}\nworkloads:\n  web: {replicas: 2}\n"


def problems(text: str, *set_: str) -> list[str]:
    with pytest.raises(TopologyError) as caught:
        load_text(text, set_=set_)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_topologies_are_valid_and_say_what_they_show(file: Path) -> None:
    topology = load(file)
    assert topology.name == file.stem
    assert expand(topology)
    assert file.read_text().startswith("# ")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_resolved_topology_reads_back(file: Path) -> None:
    topology = load(file)
    dumped = topology.model_dump(mode="json", by_alias=True)
    assert Topology.model_validate(dumped) == topology
    assert load_text(to_yaml(dumped)) == topology


# Files that are no text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"\x00\x01\x02", "not YAML"),
        (b"name: lab\n\xff\xfe\n", "is no text: line 2 is not UTF-8"),
        (b"name: \x07bell\n", "not YAML"),
        (b"[" * 5000, "nested too deeply"),
        (b"%YAML 9.9\n---\nname: x\n", ""),
    ],
    ids=["empty", "comment", "nul", "not utf-8", "bell", "deep", "directive"],
)
def test_a_file_that_is_no_topology(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(content)
    with pytest.raises(TopologyError) as caught:
        load(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_directory_a_missing_and_a_nameless_file(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "none.yaml", "No such file"),
        (Path("a\0b"), "cannot be read"),
    ):
        with pytest.raises(TopologyError, match=message):
            load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text(SMALL)
    file.chmod(0)
    with pytest.raises(TopologyError, match="Permission denied"):
        load(file)


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load(file).workloads["web"].replicas == 2


def test_anchors_and_merge_keys_work() -> None:
    topology = load_text(
        "name: lab\nnodes:\n  n1: &node {zone: a, labels: {disk: ssd}}\n"
        "  n2: *node\n  n3: {<<: *node, zone: b}\n"
    )
    assert topology.nodes["n2"] == topology.nodes["n1"]
    assert (topology.nodes["n3"].zone, topology.nodes["n3"].labels) == ("b", {"disk": "ssd"})


def test_an_alias_bomb_is_refused_quickly() -> None:
    lines = ["a0: &a0 {x: y}"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    began = time.process_time()
    assert "aliases followed" in problems("\n".join(lines))[0]
    assert time.process_time() - began < 20


# Settings


def test_settings_change_values_and_add_keys() -> None:
    topology = load_text(
        SMALL,
        set_=(
            "workloads.web.replicas=5",
            "timing.probePeriod=500ms",
            'nodes.n1.labels."example.org/disk"=ssd',
            "services.web={port: 80}",
            "hosts.client=",
        ),
    )
    assert topology.workloads["web"].replicas == 5
    assert topology.timing.probe_period_s == 0.5
    assert topology.nodes["n1"].labels == {"example.org/disk": "ssd"}
    assert topology.services["web"].port == 80
    assert list(topology.hosts) == ["client"]


def test_a_setting_inside_a_list() -> None:
    text = SMALL + "services:\n  web: {ports: [{port: 80}]}\n"
    for path in ("services.web.ports.0.port", "services.web.ports[0].port"):
        topology = load_text(text, set_=(f"{path}=81",))
        assert topology.services["web"].ports[0].port == 81


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("workloads.web.replicas=many", "--set:1:24: workloads.web.replicas: must be a whole"),
        ("workloads.web.replica=5", "--set:1:23: workloads.web.replica: unknown key 'replica'"),
        ("workloads.web.replicas", "--set:1:1: 'workloads.web.replicas' is not path=value"),
        ("=5", "--set:1:1: '=5' is not path=value"),
        ("a..b=5", "--set:1:1: 'a..b=5' is not path=value"),
        ("name.x=5", "--set:1:8: name.x: cannot be set inside the text 'lab'"),
        ("nodes=[", "--set:1:7: nodes: the value is not YAML"),
        ("workloads.web.node=n7", "--set:1:20: workloads.web.node: there is no node n7"),
        ("nodes={n1: {a: 1, a: 1}}", "--set:1:7: nodes: key 'a' is here twice"),
    ],
)
def test_a_wrong_setting_is_reported_as_a_setting(setting: str, message: str) -> None:
    assert any(problem.startswith(message) for problem in problems(SMALL, setting))


# Manifests


def test_manifests_are_read_from_beside_the_topology(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
        "spec: {containers: [{name: a, image: a}]}\n---\n---\n"
        "apiVersion: v1\nkind: List\nitems:\n"
        "  - {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}\n"
    )
    (tmp_path / "lab.yaml").write_text(SMALL + "manifests: [shop.yaml]\n")
    topology = load(tmp_path / "lab.yaml")
    assert [manifest["kind"] for manifest in topology.manifests] == ["Pod", "Service"]
    assert [item.meta.name for item in expand(topology)[-2:]] == ["a", "a"]


# Mutations: only TopologyError or success


def accepts_or_explains(text: str, *set_: str) -> None:
    topology: Topology | None = None
    found: tuple[Problem, ...] = ()
    try:
        topology = load_text(text, set_=set_)
    except TopologyError as error:
        found = error.problems
    assert all(problem.line >= 1 and problem.column >= 1 for problem in found)
    assert all(problem.message for problem in found)
    assert bool(found) != bool(topology and expand(topology))


SNIPPETS = st.sampled_from(
    ["{", "}", "[", "]", ":", ": ", "- ", "\t", "\n", "  ", "&a ", "*a", "<<: ", "!!int ", "!x ",
     "|", ">", "%", "@", "`", "'", '"', "#", "---\n", "...\n", "? ", "~", "null", "true", "-1",
     "1e999", "0x", "0o9", ".nan", "9" * 60, "\x00", "\ufeff", "é", "\u2028", "=", "!!binary a",
     "!!timestamp x", "!!float x", "\\x", "!<", "%TAG ! x\n"]
)  # fmt: skip


@st.composite
def mutated_text(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(sorted(TEXTS.values())))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + draw(SNIPPETS | st.text(max_size=4)) + text[end:]
    return text


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["n1", "web", "default", "None", "10.96.0.10", "10.0.0.0/8", "1s", "TCP"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@st.composite
def mutated_structure(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(sorted(TEXTS)))
    value = load_text(TEXTS[name], directory=TOPOLOGIES).model_dump(mode="json", by_alias=True)
    for _ in range(draw(st.integers(1, 4))):
        parent: Any = value
        while True:
            key = draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else
                                       list(range(len(parent)))))  # fmt: skip
            if isinstance(parent[key], dict | list) and parent[key] and draw(st.booleans()):
                parent = parent[key]
                continue
            break
        action = draw(st.sampled_from(["replace", "delete", "rename"]))
        if action == "replace" or isinstance(parent, list):
            parent[key] = draw(JUNK)
        elif action == "delete":
            del parent[key]
        else:
            parent[draw(st.text(max_size=6))] = parent.pop(key)
        if not value:
            break
    return to_yaml(value)


@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated_text())
@example("a: !!int\n")
@example("? {a: b}\n: c\n")
@example("name: 0o\nnodes: {n1: {}}\n")
@example("!!python/object:os.system x")
@example("name: lab\nnodes: {n1: {}}\nmanifests: ['a\\0b', .]\n")
@example("name: lab\nnodes: {n1: {}}\n'[key]': {}\n")
def test_a_mutated_text_is_accepted_or_explained(text: str) -> None:
    accepts_or_explains(text)


@settings(max_examples=75, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated_structure())
def test_a_mutated_structure_is_accepted_or_explained(text: str) -> None:
    accepts_or_explains(text)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["workloads.web", "nodes", "nodes.n1.labels", "services", "x", "name"])
            | st.text(max_size=12),
            st.text(max_size=12) | SNIPPETS,
        ),
        max_size=3,
    )
)
def test_any_setting_is_accepted_or_explained(pairs: list[tuple[str, str]]) -> None:
    accepts_or_explains(SMALL, *(f"{path}={value}" for path, value in pairs))


def test_what_to_yaml_writes_is_what_yaml_reads() -> None:
    value = {"b": [1, {"c": "None"}], "a": {}, "n": "1", "t": "yes", "é": "ü"}
    assert YAML(typ="safe").load(to_yaml(value)) == value
