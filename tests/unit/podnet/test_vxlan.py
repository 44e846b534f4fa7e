"""vxlan: what flannel would set up on each node."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from testbed.podnet.network import Forward, Neighbour, NodeNetwork, Route, Site
from testbed.podnet.vxlan import VxlanOverlay
from tests.unit.podnet.members import FAMILIES, announced, member, network_topology, plans, site

THREE = [member(number) for number in (1, 2, 3)]


def overlay(**settings: object) -> VxlanOverlay:
    return VxlanOverlay(network_topology("vxlan", **settings))


def test_each_node_has_a_neighbour_an_entry_and_a_route_for_each_other() -> None:
    found = plans(overlay(), THREE)["n1"]
    macs = [device.mac for name in ("n2", "n3") for device in plans(overlay(), THREE)[name].devices]
    tunnels = list(map(ip_address, ("10.244.2.0", "10.244.3.0")))
    assert found.neighbours == {
        Neighbour(ip, mac, "flannel.1") for ip, mac in zip(tunnels, macs, strict=True)
    }
    assert found.forwards == {
        Forward(mac, ip_address(to), "flannel.1")
        for mac, to in zip(macs, ("172.18.0.3", "172.18.0.4"), strict=True)
    }
    assert found.routes == {
        Route(ip_network(f"{ip}/24"), ip, "flannel.1", onlink=True) for ip in tunnels
    }


@pytest.mark.parametrize("families", FAMILIES)
def test_its_end_has_the_first_address_of_its_range(families: tuple[int, ...]) -> None:
    cidrs = {4: "10.244.0.0/16", 6: "fd01::/48"}
    network = overlay(podCIDR=",".join(cidrs[family] for family in families))
    found = plans(network, [member(number, families) for number in (1, 2)])["n2"]
    names = {4: "flannel.1", 6: "flannel-v6.1"}
    assert [device.name for device in found.devices] == [names[family] for family in families]
    ends = {4: "10.244.2.0/32", 6: "fd01:0:0:2::/128"}
    assert found.addresses == tuple(
        (names[family], ip_interface(ends[family])) for family in families
    )
    # The kernel's own figures: 20 or 40 bytes of IP, 8 of UDP, 8 of VXLAN, 14 of Ethernet.
    assert found.pod_mtu == 1500 - (70 if 6 in families else 50)
    by_family = {device.local.version: device for device in found.devices}
    assert {family: 1500 - one.mtu for family, one in by_family.items()} == {  # type: ignore[union-attr]
        family: {4: 50, 6: 70}[family] for family in families
    }
    assert len({device.index for device in found.devices}) == len(families)


def test_an_end_is_told_in_flannels_annotations() -> None:
    (one, *_) = announced(overlay(), [member(1, (4, 6))])
    prefix = "flannel.alpha.coreos.com"
    assert one.annotations == {
        f"{prefix}/backend-type": "vxlan",
        f"{prefix}/kube-subnet-manager": "true",
        f"{prefix}/backend-data": '{"VNI":1,"VtepMAC":"02:04:ac:12:00:02"}',
        f"{prefix}/backend-v6-data": '{"VNI":1,"VtepMAC":"02:06:00:00:00:02"}',
        f"{prefix}/public-ip": "172.18.0.2",
        f"{prefix}/public-ipv6": "fd00::2",
    }


def test_nobody_sends_to_a_node_whose_agent_has_said_nothing_yet() -> None:
    network = overlay()
    every = [*announced(network, THREE[:2]), THREE[2]]
    found = network.plan(site(every[0]), every)
    assert {route.via for route in found.routes} == {ip_address("10.244.2.0")}


def test_what_an_agent_says_counts_and_nothing_else() -> None:
    network = overlay()
    one, two = announced(network, THREE[:2])
    said = {key: text.replace("02:04", "0e:0f") for key, text in two.annotations.items()}
    found = network.plan(site(one), [one, replace(two, annotations=said)])
    assert {entry.mac for entry in found.forwards} == {"0e:0f:ac:12:00:03"}


def with_far_node(**settings: object) -> NodeNetwork:
    """What n1 has where n2 is on its segment, and n3 is not."""
    network = overlay(**settings)
    every = announced(network, THREE)
    here = Site("n1", (ip_interface("172.18.0.2/31"),), 1500)
    return network.plan(here, every)


def test_direct_routing_spares_the_tunnel_on_one_segment() -> None:
    found = with_far_node(vxlan={"directRouting": True})
    assert found.routes == {
        Route(ip_network("10.244.2.0/24"), ip_address("172.18.0.3")),
        Route(ip_network("10.244.3.0/24"), ip_address("10.244.3.0"), "flannel.1", onlink=True),
    }
    assert len(found.forwards) == len(found.neighbours) == 1


def test_without_it_all_goes_by_the_tunnel() -> None:
    assert {route.device for route in with_far_node().routes} == {"flannel.1"}


def test_the_file_says_which_overlay_it_is() -> None:
    (end,) = plans(overlay(vxlan={"vni": 7, "port": 4789}), THREE)["n1"].devices
    assert (end.name, end.vni, end.port, end.learning) == ("flannel.7", 7, 4789, False)  # type: ignore[union-attr]


def test_an_address_that_is_away_is_behind_the_tunnel_of_the_node_where_it_is() -> None:
    network = overlay(stickyIPs=True)
    members = {one.name: one for one in announced(network, THREE)}
    away = {ip_address("10.244.1.7"): "n3"}
    assert network.detours(site(members["n1"]), members, away) == {
        Route(ip_network("10.244.1.7/32"), ip_address("10.244.3.0"), "flannel.1", onlink=True)
    }
    assert network.detours(site(members["n3"]), members, away) == set()
