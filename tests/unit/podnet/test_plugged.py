"""What a node keeps of its pod network where CNI plug-ins wire its pods."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from testbed.model.topology import Topology
from testbed.podnet.network import NodeNetwork, PodNetwork
from testbed.podnet.networks import network_of
from tests.unit.podnet.members import member, plans

NODES = [member(1, (4, 6)), member(2, (4, 6))]
BRIDGED = (("bridge/bridge-nf-call-iptables", "1"), ("bridge/bridge-nf-call-ip6tables", "1"))


def plugged(kind: str, **cni: Any) -> PodNetwork:
    conflist = {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": kind}]}
    families = "10.244.0.0/16,fd01::/56"
    network = {"podCIDR": families, "cni": {"conflist": conflist, **cni}}
    written = {"name": "any", "network": network, "nodes": {"n1": {}}}
    return network_of(Topology.model_validate(written))


def on_n1(network: PodNetwork) -> NodeNetwork:
    return plans(network, NODES)["n1"]


@pytest.mark.parametrize("routes", ["host-gw", "vxlan"])
def test_its_own_range_is_the_plugins_and_the_others_are_routed(routes: str) -> None:
    found = on_n1(plugged("ptp", routes=routes))
    assert not found.blackholes & {*NODES[0].pod_cidrs}
    assert found.pod_links is None
    assert {*NODES[1].pod_cidrs} <= {route.destination for route in found.routes}
    assert (found.pod_mtu < 1500) == bool(found.devices)  # a tunnel takes its share


def test_without_routes_a_node_knows_only_its_range() -> None:
    found = on_n1(plugged("ptp", routes="none"))
    assert (found.routes, found.devices) == (frozenset(), ())
    assert found.pod_cidrs == (ip_network("10.244.1.0/24"), ip_network("fd01:0:0:1::/64"))


@pytest.mark.parametrize(
    ("kind", "sysctls", "needs"),
    [
        ("bridge", BRIDGED, {"br-netfilter"}),
        ("somebodys", BRIDGED, {"br-netfilter"}),  # who knows
        ("ptp", (), set()),
        ("testbed-routed", (), set()),
    ],
)
def test_what_crosses_a_bridge_meets_the_nodes_rules(
    kind: str, sysctls: tuple[tuple[str, str], ...], needs: set[str]
) -> None:
    network = plugged(kind)
    link_local = ("ipv6/conf/default/addr_gen_mode", "0")
    assert (on_n1(network).sysctls, network.needs) == ((*sysctls, link_local), needs)
