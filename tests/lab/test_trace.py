"""`testbed trace` in every mode: the way that a request takes is the one that the rules foretell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.lab.trace_request import frames, trace
from testbed.model.topology import Topology
from tests.lab.conftest import ONCE, User, unique_name

pytestmark = pytest.mark.lab

TOPOLOGY: dict[str, Any] = {
    "name": "trace",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"client": {}},
    "dns": {"replicas": 1},
    "workloads": {
        "web": {"replicas": 2, "port": 8080},
        "probe": {},
        "none": {"replicas": 0, "port": 8080},
    },
    "services": {
        "web": {"port": 80, "targetPort": 8080, "nodePort": 30080},
        "datagram": {
            "port": 90,
            "targetPort": 8080,
            "protocol": "UDP",
            "selector": {"app": "web"},
        },
        "sticky": {
            "port": 80,
            "targetPort": 8080,
            "selector": {"app": "web"},
            "sessionAffinity": "ClientIP",
        },
        "empty": {"port": 80, "targetPort": 8080, "selector": {"app": "none"}},
    },
}
MODES = {
    "iptables-nft": {"mode": "iptables", "iptables": {"variant": "nft"}},
    "iptables-legacy": {"mode": "iptables", "iptables": {"variant": "legacy"}},
    "nftables": {"mode": "nftables"},
    "userspace": {"mode": "userspace"},
}
WEB = {"web-0", "web-1"}
PATIENCE_S = 60.0
FLOWS = (
    ("a pod asks a service", "probe-0", "web", WEB),
    ("a pod asks a service that it is behind itself", "web-0", "web", WEB),
    ("a node asks a service", "n1", "web", WEB),
    ("a host asks a node port", "client", "n1:30080", WEB),
    ("a pod sends a service a datagram", "probe-0", "datagram", WEB),
    ("a node sends a service a datagram", "n1", "datagram", WEB),
    ("a pod asks a pod", "probe-0", "web-1:8080", {"web-1"}),
    ("a client that is not known to affinity yet", "probe-0", "sticky", WEB),
    ("a client that affinity knows", "probe-0", "sticky", WEB),
)


@pytest.fixture(scope="module", params=MODES)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    topology = Topology.model_validate(TOPOLOGY | {"proxy": MODES[request.param]})
    with Lab.up(topology, name=unique_name()) as running:
        yield running


def traced(lab: Lab, source: str, to: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
    told, _ = trace(lab, source, to, "0badcafe", udp=False, timeout_s=timeout_s)
    return told


@pytest.mark.parametrize(
    ("source", "to", "ends"), [row[1:] for row in FLOWS], ids=[row[0] for row in FLOWS]
)
def test_the_way_is_foretold(lab: Lab, source: str, to: str, ends: set[str]) -> None:
    began_ns = lab.now_ns()
    told = traced(lab, source, to)
    assert (told["disagreements"], told["unheard"], told["lost"]) == ([], {}, 0)
    assert told["observed"]["who"] in ends
    assert told["outcome"]["result"] == "ok"
    assert told["rules"], "the kernel told of no rule"
    first, last = told["legs"][0], told["legs"][-1]
    assert first["request"][0]["machine"] == source
    assert last["request"][-1]["machine"] == told["observed"]["who"]
    assert first["reply"][-1]["machine"] in {source, "n1"}
    assert began_ns < first["request"][0]["t_ns"] < lab.now_ns()
    times = [hop["us"] for hop in (*first["request"], *first["reply"])]
    assert times == sorted(times)


def test_the_rule_that_picked_is_named_with_its_probability(lab: Lab) -> None:
    told = traced(lab, "probe-0", "web")
    rules = [one["rule"] for node in told["rules"] for one in node["met"]]
    foretold = {one for way in told["predicted"] for node in way["rules"] for one in node["rules"]}
    assert set(rules) <= foretold
    assert [way["probability"] for way in told["predicted"]] == pytest.approx([0.5, 0.5])


def test_a_service_without_endpoints_turns_away(lab: Lab) -> None:
    told = traced(lab, "probe-0", "empty")
    assert told["outcome"]["result"] in {"refused", "closed", "reset"}
    assert told["agrees"]


def test_a_host_that_dials_a_cluster_address_is_told_of_the_node_port(lab: Lab) -> None:
    told = traced(lab, "client", "web")
    assert told["outcome"]["result"] == "unreachable"
    assert told["hint"] == "a client outside the cluster dials n1:30080 (a node port)"


def test_a_name_that_is_none_ends_there(lab: Lab) -> None:
    told = traced(lab, "probe-0", "nothere:80")
    assert (told["outcome"]["result"], told["legs"], told["agrees"]) == ("dns_error", [], None)
    assert {one["rcode"] for one in told["lookup"]["queries"]} <= {"NXDOMAIN", "REFUSED"}


def test_what_the_rules_do_not_know_is_a_disagreement(lab: Lab) -> None:
    ip = next(pod["ip"] for pod in lab.inspect()["pods"] if pod["name"] == "web-1")
    node = next(pod["node"] for pod in lab.inspect()["pods"] if pod["name"] == "web-1")
    other = "n2" if node == "n1" else "n1"
    hole = ["ip", "route", "add", "blackhole", ip, "table", "99"]
    rule = ["ip", "rule", "add", "to", ip, "table", "99", "priority", "1"]
    for argv in (hole, rule):
        assert lab.exec(other, argv).returncode == 0
    try:
        told = traced(lab, other, "web-1:8080", timeout_s=0.2)
    finally:
        lab.exec(other, ["ip", "rule", "del", "priority", "1"])
    assert not told["agrees"]


def test_nothing_of_a_trace_stays(lab: Lab) -> None:
    traced(lab, "probe-0", "web")
    for node in ("n1", "n2"):
        tables = lab.exec(node, ["nft", "list", "tables"]).stdout
        raw = lab.exec(node, ["iptables-legacy-save", "-t", "raw"]).stdout
        assert "testbed" not in tables
        assert "TRACE" not in raw


@ONCE
def test_an_ordinary_user_traces_too(user: User, name: str) -> None:
    """By the command line, its file included."""
    file = user.file("trace.yaml", _yaml())
    assert user.testbed("up", file, "--name", name).returncode == 0
    path = user.folder / f"{name}.pcapng"
    done = user.testbed("trace", name, "probe-0", "web", "-w", str(path), "--timeout", "60s")
    user.testbed("down", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "AGREES" in done.stdout
    assert len(frames(Path(path))) > 4


def _yaml() -> str:
    return """
name: trace
nodes: {n1: {}, n2: {}}
dns: {replicas: 1}
workloads: {web: {replicas: 2, port: 8080}, probe: {}}
services: {web: {port: 80, targetPort: 8080}}
"""
