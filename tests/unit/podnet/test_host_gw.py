"""host-gw: routes to the other nodes' pods, by the other nodes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from testbed.podnet.host_gw import HostGateway
from testbed.podnet.network import Route
from tests.unit.podnet.members import FAMILIES, MTU, member, network_topology, plans, site

NETWORK = HostGateway(network_topology("host-gw"))


@pytest.mark.parametrize("families", FAMILIES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_node_routes_every_other_nodes_pods_to_it(
    count: int, families: tuple[int, ...]
) -> None:
    nodes = [member(number, families) for number in range(1, count + 1)]
    for name, found in plans(NETWORK, nodes).items():
        own = next(one for one in nodes if one.name == name)
        others = {
            pods: via
            for other in nodes
            if other is not own
            for pods, via in zip(other.pod_cidrs, other.addresses, strict=True)
        }
        assert {route.destination: route.via for route in found.routes} == others
        assert found.blackholes == {*own.pod_cidrs}
        assert (found.pod_cidrs, found.pod_mtu, found.pod_links) == (own.pod_cidrs, MTU, None)


def test_who_is_away_is_found_by_its_node_and_not_on_that_node_itself() -> None:
    nodes = {f"n{number}": member(number, (4, 6)) for number in (1, 2)}
    away = {ip_address("10.244.1.3"): "n2", ip_address("fd01:0:0:1::3"): "n2"}

    def detours(name: str) -> frozenset[Route]:
        return NETWORK.detours(site(nodes[name]), nodes, away)

    assert detours("n1") == {
        Route(ip_network("10.244.1.3/32"), ip_address("172.18.0.3")),
        Route(ip_network("fd01:0:0:1::3/128"), ip_address("fd00::3")),
    }
    assert detours("n2") == frozenset()


def test_nobody_is_led_to_a_node_that_is_not_there() -> None:
    nodes = {"n1": member(1)}
    assert NETWORK.detours(site(nodes["n1"]), nodes, {ip_address("10.244.1.3"): "n2"}) == set()
