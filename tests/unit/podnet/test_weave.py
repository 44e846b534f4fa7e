"""weave: one flat network, no table of who is where."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from testbed.podnet.network import EVERYBODY, Bridge, Bridged, Forward, Vxlan
from testbed.podnet.weave import WeaveMesh
from tests.unit.podnet.members import member, network_topology, plans, site

WEAVE = WeaveMesh(network_topology("weave"))
THREE = [member(number) for number in (1, 2, 3)]


def test_nothing_is_said_of_who_is_where_but_who_the_peers_are() -> None:
    found = plans(WEAVE, THREE)["n1"]
    assert (found.routes, found.neighbours, found.blackholes) == (set(), set(), set())
    assert found.forwards == {
        Forward(EVERYBODY, ip_address(ip), "vxlan-6784") for ip in ("172.18.0.3", "172.18.0.4")
    }
    assert WEAVE.annotations(site(THREE[0]), THREE[0]) == {}


def test_pods_hang_on_a_bridge_whose_address_is_the_first_of_the_nodes_share() -> None:
    found = plans(WEAVE, THREE)["n2"]
    gateway = ip_interface("10.244.2.1/16")
    assert found.pod_links == Bridged("weave", (gateway,))
    assert found.addresses == (("weave", gateway),)
    bridge, tunnel = found.devices
    assert isinstance(bridge, Bridge)
    assert isinstance(tunnel, Vxlan)
    assert (tunnel.bridge, tunnel.learning) == (bridge.name, True)
    assert bridge.mtu == tunnel.mtu == found.pod_mtu == 1450
    assert ("bridge/bridge-nf-call-iptables", "1") in found.sysctls


def test_devices_of_a_lab_have_addresses_of_their_own() -> None:
    devices = [one for found in plans(WEAVE, THREE).values() for one in found.devices]
    assert len({one.mac for one in devices}) == 6


@pytest.mark.parametrize(
    ("pods", "wrong"),
    [("10.244.0.0/16", False), ("10.244.0.0/16,fd00:10:244::/56", True), ("fd00::/56", True)],
)
def test_ipv6_is_refused(pods: str, wrong: bool) -> None:
    found = WEAVE.mistakes(network_topology("weave", podCIDR=pods))
    assert [one.path for one in found] == [("network", "podCIDR")] * wrong


def test_an_address_that_moves_needs_no_route() -> None:
    members = {one.name: one for one in THREE}
    away = {ip_address("10.244.1.7"): "n3"}
    assert WEAVE.detours(site(THREE[0]), members, away) == set()
