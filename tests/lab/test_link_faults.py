"""Links go wrong: cut, slowed down, sides kept apart; what the cluster makes of it; all is well again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.errors import CheckFailed
from testbed.events import Event
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import ONCE, User, unique_name

pytestmark = pytest.mark.lab

PATIENCE_S = 60.0
TOPOLOGY: dict[str, Any] = {
    "name": "link-faults",
    "nodes": {"n1": {}, "n2": {}, "n3": {}},
    "hosts": {"client": {}},
    "dns": {"replicas": 0},
    "timing": {
        "nodeMonitorPeriod": "500ms",
        "nodeMonitorGracePeriod": "2s",
        "notReadyToleration": "1s",
    },
    "proxy": {"minSyncPeriod": "100ms", "syncPeriod": "1h"},
    "workloads": {
        "a": {"port": 8080, "node": "n1"},
        "b": {"port": 8080, "node": "n2"},
        "c": {"port": 8080, "nodeSelector": {"spare": "yes"}},
    },
    "services": {"c": {"port": 80, "targetPort": 8080}},
}
ROUTED: dict[str, Any] = {
    "name": "link-faults-routed",
    "kernel": "host",
    "nodes": {"n1": {}, "n2": {}, "n3": {}},
    "routers": {"spine": {}},
    "dns": {"replicas": 0},
    "network": {"cni": "vxlan"},
    "links": [
        {"endpoints": ["n1", "tor1"], "rate": "20mbit", "queue": 50},
        {"endpoints": ["n2", "tor1"]},
        {"endpoints": ["tor1", "spine"]},
        {"endpoints": ["spine", "tor2"]},
        {"endpoints": ["n3", "tor2"]},
    ],
    "workloads": {
        "a": {"port": 8080, "node": "n1"},
        "b": {"port": 8080, "node": "n2"},
        "c": {"port": 8080, "node": "n3"},
    },
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One switch; the pod c-0 is on n3 at first, and may move to n2."""
    nodes = {"n1": {}, "n2": {"labels": {"spare": "yes"}}, "n3": {"labels": {"spare": "yes"}}}
    topology = Topology.model_validate({**TOPOLOGY, "nodes": nodes})
    with Lab.up(topology, name=unique_name()) as running:
        yield running


@pytest.fixture(scope="module")
def routed() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(ROUTED), name=unique_name()) as running:
        yield running


def reached(lab: Lab, *places: str) -> set[tuple[str, str]]:
    """(from, to) of all that reach each other, itself left out."""
    found = lab.reachability(places, places, timeout_s=1.0)
    return {(one.source, one.target) for one in found if one.reached and one.source != one.target}


def both_ways(*pairs: tuple[str, str]) -> set[tuple[str, str]]:
    return {pair for one, other in pairs for pair in ((one, other), (other, one))}


def after(lab: Lab, since: Event, kind: str, node: str) -> Event:
    """The first event of that kind on a node since another one."""
    return lab.wait_event(
        lambda event: event.t_ns >= since.t_ns and (event.kind, event.node) == (kind, node),
        PATIENCE_S,
    )


def node(lab: Lab, name: str) -> dict[str, Any]:
    return next(row for row in lab.inspect()["nodes"] if row["name"] == name)


def test_sides_exchange_no_packet_and_whom_no_group_names_talks_to_all(lab: Lab) -> None:
    lab.fault("partition", "n1,client", "n2")
    pods = reached(lab, "a-0", "b-0", "n1", "n2", "n3", "client")
    assert both_ways(("n1", "client"), ("n1", "n3"), ("n2", "n3"), ("client", "n3")) <= pods
    apart = both_ways(("n1", "n2"), ("a-0", "b-0"), ("a-0", "n2"), ("b-0", "n1"), ("client", "n2"))
    assert not pods & apart
    assert lab.inspect()["partition"] == [["n1", "client"], ["n2"]]
    assert not any(row["cutOff"] for row in lab.inspect()["nodes"])

    healed = lab.heal("partition")
    assert (healed.detail["healed"], lab.inspect()["partition"]) == (["partition"], [])
    assert both_ways(("n1", "n2"), ("client", "n2")) <= reached(lab, "n1", "n2", "client")
    with pytest.raises(CheckFailed, match="there is no partition"):
        lab.heal("partition")


def test_a_node_that_is_cut_off_is_lost_and_comes_back(lab: Lab) -> None:
    before = next(row for row in lab.inspect()["pods"] if row["name"].startswith("c-"))
    where, other = before["node"], "n2" if before["node"] == "n3" else "n3"
    cut = lab.fault("cut", where, "switch")
    assert (cut.kind, cut.detail["links"]) == ("cut", [f"{where}:switch"])
    lost = after(lab, cut, "control-plane-lost", where)
    # Nobody reports from there; the control plane finds out by silence, and others take over.
    after(lab, cut, "pod-not-ready", where)
    moved = after(lab, cut, "endpoint-ready", other)
    service = lab.inspect()["services"][0]
    assert [row["node"] for row in service["endpoints"] if row["ready"]] == [other]
    after(lab, moved, "sync", "n1")
    assert (node(lab, where)["ready"], node(lab, where)["cutOff"]) == (False, True)
    ids = {event.node for event in lab.events(lost.t_ns) if event.kind == "sync"}
    assert "n1" in ids
    assert where not in ids
    link = next(row for row in lab.inspect()["links"] if row["name"] == f"{where}:switch")
    assert link["state"] == "cut"

    healed = lab.heal(where)
    assert healed.detail["healed"] == ["cut"]
    back = after(lab, healed, "control-plane-back", where)
    after(lab, back, "sync", where)
    after(lab, back, "pod-removed", where)
    lab.exec("n1", ["true"], PATIENCE_S)
    assert not node(lab, where)["cutOff"]
    with pytest.raises(CheckFailed, match=f"nothing is wrong with {where}"):
        lab.heal(where)


def test_a_side_without_the_control_plane_is_lost(lab: Lab) -> None:
    split = lab.fault("partition", "n1,switch", "n2")
    after(lab, split, "control-plane-lost", "n2")
    assert [row["name"] for row in lab.inspect()["nodes"] if row["cutOff"]] == ["n2"]
    healed = lab.heal("partition")
    after(lab, healed, "control-plane-back", "n2")


def test_a_drained_node_is_left_and_takes_pods_again(lab: Lab) -> None:
    drained = lab.fault("drain", "n1", grace_s=0.0)
    assert [row["pod"] for row in drained.detail["pods"]] == ["default/a-0"]
    pods = [row for row in lab.inspect()["pods"] if row["node"] == "n1"]
    assert pods == []  # its workload has no other node
    assert lab.heal("n1").detail["healed"] == ["drain"]
    after(lab, drained, "pod-ready", "n1")


def test_groups_straddle_switches_and_routers(routed: Lab) -> None:
    names = ("n1", "n2", "n3", "a-0", "b-0", "c-0")
    everybody = reached(routed, *names)
    routed.fault("partition", "n1,n3", "n2")
    within = both_ways(("n1", "n3"), ("a-0", "c-0"), ("n1", "c-0"), ("a-0", "n3"))
    now = reached(routed, *names)
    assert within <= now
    other_side = {"n2", "b-0"}
    assert not [pair for pair in now if len(other_side.intersection(pair)) == 1]
    routed.fault("partition", "n1", "n2,n3")  # instead of the one before
    now = reached(routed, "n1", "n2", "n3")
    assert now == both_ways(("n2", "n3"))
    routed.heal("partition")
    assert reached(routed, *names) == everybody


BLAST = """
import socket, sys, time

def sent_bytes():
    line = next(line for line in open("/proc/self/net/dev") if "eth0:" in line)
    return int(line.split(":")[1].split()[8])

udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect((sys.argv[1], 5001))
begun, before, packet = time.monotonic(), sent_bytes(), bytes(1400)
while time.monotonic() < begun + 1.0:
    try:
        udp.send(packet)
    except OSError:  # nobody listens there
        pass
print((sent_bytes() - before) * 8 / (time.monotonic() - begun))
"""
"""How many bits a second leave by a link that is offered more."""


def test_a_rate_is_never_exceeded_and_changes_in_place(routed: Lab) -> None:
    shown = routed.exec("n1", ["tc", "-s", "qdisc", "show", "dev", "eth0"], PATIENCE_S).stdout
    assert "rate 20Mbit" in shown
    assert "pfifo" in shown
    limit = {"rate_bps": 5e6, "queue": 20}
    routed.fault("impair", "n1", "tor1", direction="out", **limit)
    link = next(row for row in routed.inspect()["links"] if row["name"] == "n1:tor1")
    assert (link["impaired"], link["shapes"]) == (True, [limit, {"rate_bps": 2e7, "queue": 50}])
    address = node(routed, "n3")["addresses"][0]
    done = routed.exec("n1", [sys.executable, "-c", BLAST, address], PATIENCE_S)
    assert 0 < float(done.stdout) < 5e6 * 1.1
    routed.heal("n1:tor1")
    assert not next(row for row in routed.inspect()["links"])["impaired"]


@ONCE
def test_by_the_command_line(user: User, name: str) -> None:
    file = user.file("flat.yaml", json.dumps({**TOPOLOGY, "workloads": {}, "services": {}}))
    try:
        done = user.testbed("up", file, "--name", name)
        assert done.returncode == 0, done.stderr
        cut = user.testbed("fault", name, "cut", "n1")
        assert cut.stdout.startswith("cut of n1 (n1:switch), effective at "), cut.stderr
        assert "n1:switch   cut" in user.testbed("inspect", name).stdout
        both = user.testbed("fault", name, "partition", "n2", "n3,switch")
        assert both.returncode == 0, both.stderr
        shown = user.testbed("inspect", name).stdout
        assert "partition: n2 | n3,switch" in shown
        silent = user.testbed("exec", name, "n2", "--", "ping", "-c1", "-W1", "172.18.0.4")
        assert silent.returncode == 1
        missing = user.testbed("fault", name, "cut", "n1", "n2")
        assert (missing.returncode, "no link joins n1 and n2" in missing.stderr) == (4, True)
        netem = user.testbed("fault", name, "impair", "n2", "--delay", "5ms")
        assert netem.returncode in {0, 3}
        healed = user.testbed("fault", name, "heal", "n1", "-o", "json")
        assert json.loads(healed.stdout)["detail"]["healed"] == ["cut"]
    finally:
        user.testbed("down", name)
