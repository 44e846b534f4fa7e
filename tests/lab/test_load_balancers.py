"""Addresses of load balancers: an outside client reaches them, whom the pods see, and what becomes of them when
nodes and endpoints go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.clock import now_ns
from testbed.events import Event
from testbed.lab.client import Lab
from testbed.lab.trace_request import trace
from testbed.model.topology import Topology
from tests.lab.awaited import awaited
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

PATIENCE_S = 60.0
NODES = ("n1", "n2", "n3")
WEB, NEAR = "172.18.255.200", "172.18.255.201"
WEB6 = "fd00:172:18::ff00"
L2: dict[str, Any] = {
    "name": "balancer-l2",
    "network": {"podCIDR": "10.244.0.0/16,fd00:10:244::/56"},
    "dns": {"replicas": 0},
    "nodes": {node: {} for node in NODES},
    "hosts": {"client": {}},
    "loadBalancer": {
        "provider": "l2",
        "addresses": [f"{WEB}-172.18.255.202", "fd00:172:18::ff00-fd00:172:18::ff0f"],
        "l2": {"probeInterval": "500ms", "probeTimeout": "300ms", "rejoinInterval": "2s"},
    },
    "workloads": {"web": {"replicas": 3}, "one": {"node": "n2"}},
    "services": {
        "web": {"type": "LoadBalancer", "port": 80, "ipFamilyPolicy": "PreferDualStack"},
        "near": {
            "type": "LoadBalancer",
            "port": 80,
            "selector": {"app": "one"},
            "targetPort": 8080,
            "externalTrafficPolicy": "Local",
        },
    },
}
BGP: dict[str, Any] = {
    **L2,
    "name": "balancer-bgp",
    "network": {"bgp": {"holdTime": "9s", "gracefulRestart": False, "bfd": True}},
    "routers": {"tor": {"asn": 65001}},
    "links": [{"endpoints": [end, "switch"]} for end in (*NODES, "tor")]
    + [{"endpoints": ["client", "tor"]}],
    "loadBalancer": {"provider": "bgp", "addresses": ["198.51.100.0/30"]},
    "services": {"web": {"type": "LoadBalancer", "port": 80}, "near": L2["services"]["near"]},
}


def topology(of: dict[str, Any], **changes: Any) -> Topology:
    return Topology.model_validate({**of, **changes})


def seen_from(lab: Lab, address: str, times: int = 1) -> set[str]:
    """Addresses under which pods see the client, each request over a connection of its own."""
    where = f"[{address}]" if ":" in address else address
    urls = [f"http://{where}/clientip"] * times
    patience = ["--max-time", "10", "--retry", "10", "--retry-all-errors"]
    argv = ["curl", "-s", *patience, "-H", "Connection: close", "-w", "\\n", *urls]
    done = lab.exec("client", argv, 2 * PATIENCE_S)
    assert done.returncode == 0, done.stderr
    return {line.rpartition(":")[0].strip("[]") for line in done.stdout.split()}


def reaches(lab: Lab, address: str) -> None:
    """Return once the client does: it may still believe that the address is where it was."""
    where = f"[{address}]" if ":" in address else address
    argv = ["curl", "-s", "--retry", "40", "--retry-all-errors", "--retry-delay", "1"]
    done = lab.exec(
        "client", [*argv, "--max-time", "1", f"http://{where}/hostname"], 2 * PATIENCE_S
    )
    assert done.returncode == 0, done.stderr


def since(lab: Lab, t_ns: int, source: str, **wanted: Any) -> Event:
    """The first event after an instant that is as wanted."""
    return lab.wait_event(
        lambda event: (
            event.source == source
            and event.t_ns > t_ns
            and all(getattr(event, key) == value for key, value in wanted.items())
        ),
        PATIENCE_S,
    )


def address_of(lab: Lab, name: str) -> list[str]:
    return list(
        next(one for one in lab.inspect()["services"] if one["name"] == name)["loadBalancer"]
    )


@pytest.fixture(scope="module")
def l2() -> Iterator[Lab]:
    with Lab.up(topology(L2), name=unique_name(), ephemeral=True) as running:
        yield running


@pytest.fixture(scope="module")
def bgp() -> Iterator[Lab]:
    with Lab.up(topology(BGP), name=unique_name(), ephemeral=True) as running:
        yield running


def test_one_node_answers_for_each_address_and_hides_the_client_but_with_policy_local(
    l2: Lab,
) -> None:
    assert (address_of(l2, "web"), address_of(l2, "near")) == ([WEB, WEB6], [NEAR])
    answered = l2.inspect()["loadBalancer"]["answeredBy"]
    assert {address: len(nodes) for address, nodes in answered.items()} == {
        WEB: 1,
        WEB6: 1,
        NEAR: 1,
    }
    assert answered[NEAR] == ["n2"]
    assert answered[WEB] == answered[WEB6]
    own = {row["name"]: row["addresses"] for row in l2.inspect()["nodes"]}
    v4, v6 = own[answered[WEB][0]]
    assert seen_from(l2, WEB) == {v4}
    assert seen_from(l2, WEB6) == {v6}
    client = json.loads(l2.exec("client", ["ip", "-j", "-4", "addr", "show", "eth0"], 30).stdout)
    assert seen_from(l2, NEAR) == {client[0]["addr_info"][0]["local"]}


def test_a_trace_foretells_what_becomes_of_a_client_s_request(l2: Lab, bgp: Lab) -> None:
    for lab, address in ((l2, WEB), (bgp, address_of(bgp, "web")[0])):
        told, _ = trace(lab, "client", f"http://{address}/", "ba1a", udp=False, timeout_s=30.0)
        assert told["request"]["is"] == "the load balancer's address of service web"
        assert told["agrees"] is True


def test_an_address_moves_when_its_node_falls_silent_and_returns_with_it(l2: Lab) -> None:
    holder = l2.inspect()["loadBalancer"]["answeredBy"][WEB][0]
    mark = now_ns()
    l2.fault("stop-node", holder)
    dead = since(l2, mark, "edge", kind="speaker-dead", object=holder)
    taken = since(l2, mark, "edge", kind="announcing", object=WEB)
    assert dead.node != holder != taken.node
    reaches(l2, WEB)
    reaches(l2, WEB6)
    mark = now_ns()
    l2.heal(holder)
    since(l2, mark, "edge", kind="announcing", object=WEB, node=holder)
    since(l2, mark, "edge", kind="withdrawn", object=WEB, node=taken.node)
    reaches(l2, WEB)


def test_a_speaker_that_dies_is_started_again_before_the_others_miss_it(l2: Lab) -> None:
    holder = l2.inspect()["loadBalancer"]["answeredBy"][WEB][0]
    started = [e for e in l2.events() if e.kind == "speaker-started" and e.node == holder]
    mark = now_ns()
    l2.exec(holder, ["kill", "-9", str(started[-1].detail["pid"])], 30)
    ended = since(l2, mark, "edge", kind="withdrawn", object=WEB, node=holder)
    assert ended.detail["reason"] == "ended"
    since(l2, ended.t_ns, "edge", kind="announcing", object=WEB)
    reaches(l2, WEB)


def test_speakers_cut_off_from_each_other_both_answer(l2: Lab) -> None:
    holder = l2.inspect()["loadBalancer"]["answeredBy"][WEB][0]
    others = [node for node in NODES if node != holder]
    mark = now_ns()
    l2.fault("partition", holder, ",".join([*others, "client"]))
    taken = since(l2, mark, "edge", kind="announcing", object=WEB)
    assert sorted(l2.inspect()["loadBalancer"]["answeredBy"][WEB]) == sorted([holder, taken.node])
    reaches(l2, WEB)
    l2.heal("partition")
    since(l2, mark, "edge", kind="withdrawn", object=WEB, node=taken.node)


def test_a_node_that_is_excluded_answers_no_more(l2: Lab) -> None:
    holder = l2.inspect()["loadBalancer"]["answeredBy"][WEB][0]
    label = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
    mark = now_ns()
    nodes = {node: {"labels": label} if node == holder else {} for node in NODES}
    l2.change(topology(L2, nodes=nodes))
    since(l2, mark, "edge", kind="withdrawn", object=WEB, node=holder)
    assert l2.inspect()["loadBalancer"]["answeredBy"][WEB] != [holder]
    reaches(l2, WEB)
    l2.change(topology(L2))


def test_a_pool_that_is_used_up_leaves_a_service_pending_until_an_address_is_free(l2: Lab) -> None:
    more = {
        name: {"type": "LoadBalancer", "port": 80, "selector": {"app": "web"}, "targetPort": 8080}
        for name in ("third", "fourth")
    }
    mark = now_ns()
    l2.change(topology(L2, services={**L2["services"], **more}))
    failed = since(l2, mark, "edge", kind="allocation-failed")
    assert (
        failed.detail["error"] == f'Failed to allocate IP for "{failed.object}": no available IPs'
    )
    pending = failed.object.removeprefix("default/")
    given = ({"third", "fourth"} - {pending}).pop()
    assert (address_of(l2, given), address_of(l2, pending)) == (["172.18.255.202"], [])
    plain = {**more, given: {**more[given], "type": "ClusterIP"}}
    l2.change(topology(L2, services={**L2["services"], **plain}))
    assert (address_of(l2, given), address_of(l2, pending)) == ([], ["172.18.255.202"])
    l2.change(topology(L2))


def has_ways(lab: Lab, address: str, count: int) -> None:
    """Return once the router reaches it by so many next hops: BFD takes a node that is late for one that is
    down, for a moment.
    """
    awaited(
        lambda: lab.inspect()["loadBalancer"]["ways"]["tor"].get(address, 0),
        lambda found: found == count,
    )


def test_a_router_spreads_connections_over_all_nodes_and_local_over_those_with_a_pod(
    bgp: Lab,
) -> None:
    web, near = address_of(bgp, "web")[0], address_of(bgp, "near")[0]
    has_ways(bgp, web, 3)
    has_ways(bgp, near, 1)
    nodes = {row["addresses"][0] for row in bgp.inspect()["nodes"]}
    assert seen_from(bgp, web, times=40) == nodes
    client = json.loads(bgp.exec("client", ["ip", "-j", "-4", "addr", "show", "eth0"], 30).stdout)
    assert seen_from(bgp, near, times=3) == {client[0]["addr_info"][0]["local"]}


def spread(lab: Lab, t_ns: int, address: str, count: int) -> Event:
    """The first event after an instant by which the router has so many ways to an address."""
    return lab.wait_event(
        lambda event: (
            (event.source, event.kind) == ("bgp", "route-changed")
            and event.t_ns > t_ns
            and (event.node, event.object) == ("tor", f"{address}/32")
            and len(event.detail["via"]) == count
        ),
        PATIENCE_S,
    )


def test_a_node_without_power_is_no_way_any_more(bgp: Lab) -> None:
    web = address_of(bgp, "web")[0]
    mark = now_ns()
    bgp.fault("stop-node", "n3")
    changed = spread(bgp, mark, web, 2)
    bgp.heal("n3")
    spread(bgp, changed.t_ns, web, 3)


def test_an_address_without_endpoints_is_withdrawn(bgp: Lab) -> None:
    near = address_of(bgp, "near")[0]
    mark = now_ns()
    bgp.change(topology(BGP, workloads={**BGP["workloads"], "one": {"replicas": 0}}))
    since(bgp, mark, "edge", kind="withdrawn", object=near, node="n2")
    since(bgp, mark, "bgp", kind="route-withdrawn", node="tor", object=f"{near}/32")
    assert (
        bgp.exec("client", ["curl", "-s", "--max-time", "2", f"http://{near}/"], 30).returncode != 0
    )
    assert bgp.inspect()["loadBalancer"]["announcedBy"][near] == []
    bgp.change(topology(BGP))
    since(bgp, mark, "bgp", kind="route-learned", node="tor", object=f"{near}/32")
    assert len(seen_from(bgp, near)) == 1


def test_nodes_that_speak_bgp_for_their_pods_tell_of_services_too() -> None:
    network = {**BGP["network"], "cni": "bgp"}
    with Lab.up(topology(BGP, network=network), name=unique_name(), ephemeral=True) as lab:
        web = address_of(lab, "web")[0]
        has_ways(lab, web, 3)
        assert seen_from(lab, web, times=40) == {
            row["addresses"][0] for row in lab.inspect()["nodes"]
        }
