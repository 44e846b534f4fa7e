"""Nodes that speak BGP: who hears of whose pods, what becomes of it when somebody dies, and by which ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from testbed.clock import now_ns
from testbed.events import Event
from testbed.lab.client import Lab
from testbed.model.loader import load
from testbed.model.topology import Topology
from tests.lab.awaited import awaited
from tests.lab.conftest import ONCE, User, unique_name
from tests.lab.outer import ROOT

pytestmark = pytest.mark.lab

PATIENCE_S = 300.0
MESH: dict[str, Any] = {
    "name": "bgp-mesh",
    "network": {
        "cni": "bgp",
        "podCIDR": "10.244.0.0/16,fd00:10:244::/56",
        "bgp": {"holdTime": "9s"},
        "stickyIPs": True,
    },
    "nodes": {"n1": {}, "n2": {}, "n3": {}},
    "dns": {"replicas": 0},
    "workloads": {
        "a": {"node": "n1"},
        "b": {"node": "n2", "strategy": {"type": "Recreate"}},
        "c": {"node": "n3"},
    },
}
RANGES = {"n1": "10.244.0.0/24", "n2": "10.244.1.0/24", "n3": "10.244.2.0/24"}


def mesh(**changes: Any) -> Topology:
    return Topology.model_validate({**MESH, **changes})


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(mesh(), name=unique_name(), ephemeral=True) as running:
        yield running


def routes(lab: Lab, where: str, family: int = 4) -> dict[str, list[str]]:
    """What BIRD has brought into a machine's kernel: the next hops of each destination."""
    done = lab.exec(where, ["ip", f"-{family}", "-j", "route", "show", "proto", "bird"], 30)
    return {
        row["dst"]: sorted(
            hop["gateway"] for hop in row.get("nexthops", [row] if "gateway" in row else [])
        )
        for row in json.loads(done.stdout)
    }


def since(lab: Lab, t_ns: int, ways: int | None = None, **wanted: Any) -> Event:
    """The first event of BGP after an instant that is as wanted, of a route by so many `ways`."""
    return lab.wait_event(
        lambda event: (
            event.source == "bgp"
            and event.t_ns > t_ns
            and all(getattr(event, key) == value for key, value in wanted.items())
            and (ways is None or len(event.detail["via"]) == ways)
        ),
        PATIENCE_S,
    )


def sessions(lab: Lab, where: str) -> list[str]:
    """The machine's own birdc on them."""
    said = lab.exec(where, ["birdc", "show", "protocols"], 30).stdout
    return [line.split()[0] for line in said.splitlines() if " BGP " in line and "Establ" in line]


def test_every_node_has_a_session_and_a_route_for_each_other_and_family(lab: Lab) -> None:
    assert len(sessions(lab, "n1")) == 4
    assert routes(lab, "n1") == {
        RANGES["n1"]: [],
        RANGES["n2"]: ["172.18.0.3"],
        RANGES["n3"]: ["172.18.0.4"],
    }
    assert {hops[0] for hops in routes(lab, "n1", 6).values() if hops} == {
        "fd00:172:18::3",
        "fd00:172:18::4",
    }
    reached = lab.reachability(["a-0"], ["b-0", "c-0"])
    assert [one.outcome for one in reached] == ["reached"] * 4


def test_a_bird_that_dies_is_started_again_and_its_routes_outlive_it(lab: Lab) -> None:
    started = [one for one in lab.events() if one.kind == "speaker-started" and one.node == "n2"]
    pid = started[-1].detail["pid"]
    lab.exec("n2", ["kill", "-9", str(pid)], 30)
    ended = since(lab, started[-1].t_ns, kind="speaker-ended", node="n2")
    assert ended.detail["code"] == 137
    for peer in ("n1", "n3"):
        since(lab, ended.t_ns, kind="session-up", node=peer, object="n2")
    gone = [one for one in lab.events() if one.kind == "route-withdrawn"]
    assert [(one.node, one.object) for one in gone if one.t_ns > ended.t_ns] == []


def test_a_node_without_power_is_withdrawn_by_the_hold_time_and_returns(lab: Lab) -> None:
    before_ns = now_ns()
    lab.fault("stop-node", "n3")
    for node in ("n1", "n2"):
        since(lab, before_ns, kind="session-down", node=node, object="n3")
        since(lab, before_ns, kind="route-withdrawn", node=node, object=RANGES["n3"])
    assert RANGES["n3"] not in routes(lab, "n1")
    before_ns = now_ns()
    lab.heal("n3")
    for node in ("n1", "n2"):
        since(lab, before_ns, kind="route-learned", node=node, object=RANGES["n3"])
    since(lab, before_ns, kind="route-learned", node="n3", object=RANGES["n1"])


def test_a_pod_that_takes_its_address_along_is_told_of(lab: Lab) -> None:
    before = next(row for row in lab.inspect()["pods"] if row["name"] == "b-0")["ips"][0]
    lab.change(mesh(workloads={**MESH["workloads"], "b": {**MESH["workloads"]["b"], "node": "n3"}}))
    moved = next(row for row in lab.inspect()["pods"] if row["name"].startswith("b-"))
    assert (moved["ips"][0], moved["node"]) == (before, "n3")
    n3 = {32: "172.18.0.4", 128: "fd00:172:18::4"}
    for ip in map(ip_address, moved["ips"]):
        for node in ("n1", "n2"):
            told = since(lab, 0, node=node, object=f"{ip}/{ip.max_prefixlen}")
            assert told.detail["via"] == [n3[ip.max_prefixlen]]
    assert [one.outcome for one in lab.reachability(["a-0"], [moved["name"]])] == ["reached"] * 2


def test_nodes_that_join_and_leave_are_peers_and_no_peers(lab: Lab) -> None:
    mark = now_ns()
    lab.change(mesh(nodes={**MESH["nodes"], "n4": {}}))
    since(lab, mark, kind="route-learned", node="n1", object="10.244.3.0/24")
    assert len(sessions(lab, "n1")) == 6
    lab.change(mesh())
    since(lab, mark, kind="route-withdrawn", node="n1", object="10.244.3.0/24")
    assert '"n4"' not in (lab.folder / "bgp/n1/bird.conf").read_text()


@pytest.fixture(scope="module")
def racks() -> Iterator[Lab]:
    topology = load(ROOT / "topologies/bgp-racks.yaml")
    with Lab.up(topology, name=unique_name(), ephemeral=True) as running:
        yield running


def test_racks_reach_each_other_over_both_spines_and_over_the_one_that_is_left(racks: Lab) -> None:
    far = {"node": "tor1", "object": "10.244.2.0/24"}  # n3's, in the other rack
    both = since(racks, 0, ways=2, **far)
    before_ns = now_ns()
    racks.fault("cut", "tor1", "spine1")
    left = since(racks, before_ns, ways=1, **far)
    assert set(left.detail["via"]) < set(both.detail["via"])
    since(racks, before_ns, ways=1, node="tor2", object="10.244.1.0/24")  # answers' way back to n2
    assert [one.outcome for one in racks.reachability(["web-1"], ["web-2"])] == ["reached"]
    racks.heal("tor1", "spine1")
    again = since(racks, left.t_ns, ways=2, **far)
    assert set(again.detail["via"]) == set(both.detail["via"])


def test_a_node_on_two_routers_is_reached_by_the_other_when_its_link_is_cut(racks: Lab) -> None:
    direct, near, far = ["172.18.0.2"], ["172.18.0.254"], ["172.18.1.254"]
    to_n1 = {"node": "tor1", "object": "10.244.0.0/24"}
    from_n1 = {"node": "n1", "object": "10.244.1.0/24"}
    since(racks, 0, detail={"via": direct}, **to_n1)
    since(racks, 0, detail={"via": near}, **from_n1)
    before_ns = now_ns()
    racks.fault("cut", "n1", "tor1")
    elsewhere = since(racks, before_ns, ways=2, **to_n1)
    assert direct[0] not in elsewhere.detail["via"]
    moved = since(racks, before_ns, detail={"via": far}, **from_n1)
    assert [one.outcome for one in racks.reachability(["web-1"], ["web-0"])] == ["reached"]
    racks.heal("n1", "tor1")
    since(racks, moved.t_ns, detail={"via": near}, **from_n1)
    since(racks, moved.t_ns, detail={"via": direct}, **to_n1)


REFLECTED = """\
name: bgp-reflected
network: {cni: bgp, bgp: {routeReflectors: [n1], bfd: true, gracefulRestart: false}}
dns: {replicas: 0}
nodes: {n1: {}, n2: {}, n3: {}}
workloads: {a: {node: n2}, b: {node: n3}}
"""


@ONCE
def test_whoever_types_it_has_a_lab_that_speaks_bgp(user: User, name: str) -> None:
    """With a route reflector: n2 and n3 hear of each other by n1 alone."""
    file = user.file("bgp.yaml", REFLECTED)
    up = user.testbed("up", file, "--name", name)
    assert up.returncode == 0, up.stderr
    try:
        said = user.testbed("exec", name, "n2", "--", "birdc", "show", "protocols")
        assert [line.split()[0] for line in said.stdout.splitlines() if " BGP " in line] == [
            "Mesh_172_18_0_2"
        ]
        # On a busy machine BFD may have lost a session since, which comes back.
        ways = ("exec", name, "n2", "--", "ip", "route", "show", "10.244.2.0/24")
        awaited(lambda: user.testbed(*ways).stdout, lambda said: "via 172.18.0.4" in said)
    finally:
        assert user.testbed("down", name).returncode == 0
