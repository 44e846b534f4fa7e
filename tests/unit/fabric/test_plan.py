"""Topology -> machines, cables and addresses."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.fabric.machine import Fabric, Machine
from testbed.fabric.plan import link_local, plan
from testbed.ip import ANYWHERE
from testbed.model.shape import Shape
from testbed.model.topology import Topology

SIX = "fd00:10:244::/56"


FAMILIES = {"4": {}, "6": {"podCIDR": SIX}, "4,6": {"podCIDR": f"10.244.0.0/16,{SIX}"}}
"""By IP families, the network of a topology."""


def fabric(nodes: int, hosts: int = 1, families: str = "4") -> Fabric:
    return planned(
        network={**FAMILIES[families], "mtu": 1400},
        nodes={f"n{number}": {} for number in range(1, nodes + 1)},
        hosts={f"h{number}": {} for number in range(1, hosts + 1)},
    )


def planned(**sections: Any) -> Fabric:
    return plan(Topology.model_validate({"name": "fabric", **sections}))


def of_kind(found: Fabric, kind: str) -> list[Machine]:
    return [machine for machine in found.machines if machine.kind == kind]


def linked(*pairs: str, **sections: Any) -> Fabric:
    """`n1-sw n2-sw`: names that begin with n are nodes, with h hosts, with r routers."""
    links = [{"endpoints": pair.split("-")} for pair in pairs]
    names = dict.fromkeys(name for link in links for name in link["endpoints"])
    kinds = {"nodes": "n", "hosts": "h", "routers": "r"}
    machines = {
        kind: {name: {} for name in names if name.startswith(first)}
        for kind, first in kinds.items()
    }
    return planned(**{**machines, "links": links, **sections})


@pytest.mark.parametrize("families", FAMILIES)
def test_without_links_machines_are_told_apart_and_share_one_network(families: str) -> None:
    found = fabric(5, 3, families)
    (switch,) = of_kind(found, "switch")
    assert (found.control_plane, switch.mtu) == (switch.name, 1400)
    versions = [address.version for address in switch.addresses]
    others = [machine for machine in found.machines if machine is not switch]
    for machine in others:
        assert [address.version for address in machine.addresses] == versions
        assert [one.network for one in machine.addresses] == [
            one.network for one in switch.addresses
        ]
        assert not {*machine.addresses} & {*switch.addresses}
    for distinct in ("name", "addresses"):
        assert len({getattr(machine, distinct) for machine in others}) == 8
    assert len({end for cable in found.cables for end in cable.ends}) == 16
    assert len({end.mac for cable in found.cables for end in cable.ends}) == 16


@pytest.mark.parametrize("families", FAMILIES)
def test_without_links_every_node_leaves_by_the_switch(families: str) -> None:
    found = fabric(2, families=families)
    (switch,) = of_kind(found, "switch")
    rest = {ANYWHERE[address.version]: address.ip for address in switch.addresses}
    for machine in of_kind(found, "node"):
        assert {route.destination: route.via for route in machine.routes} == rest


def test_without_links_a_host_has_no_route_to_anybody_else() -> None:
    for host in of_kind(fabric(3, hosts=2), "host"):
        assert host.routes == ()


@pytest.mark.parametrize("name", ["switch", "switch-0"])
def test_a_machine_may_be_named_as_the_one_switch_would_be(name: str) -> None:
    found = planned(nodes={name: {}})
    assert [machine.kind for machine in found.machines] == ["node", "switch"]
    assert found.control_plane != name


def test_an_appended_node_moves_nobody() -> None:
    before = {machine.name: machine.addresses for machine in fabric(3).machines}
    after = {machine.name: machine.addresses for machine in fabric(4).machines}
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    "found",
    [
        fabric(100),
        linked("n1-a-very-long-name".replace("-", "x") + "-sw", "n2-sw", "n2-sw", "sw-sx", "sw-sx"),
    ],
)
def test_names_of_interfaces_fit_and_are_different_on_each_machine(found: Fabric) -> None:
    ends = [(end.machine, end.interface) for cable in found.cables for end in cable.ends]
    assert all(len(interface) < 16 for _, interface in ends)  # IFNAMSIZ
    assert len({*ends}) == len(ends)


def test_every_link_of_a_machine_is_an_interface_with_an_address_of_its_segment() -> None:
    found = linked("n1-sw", "n1-r1", "n2-sw", "r1-sw")
    n1, r1 = found.machine("n1"), found.machine("r1")
    assert [(one.name, one.segment, *map(str, one.addresses)) for one in n1.interfaces] == [
        ("eth0", "sw", "172.18.0.2/24"),
        ("eth1", "n1:r1", "172.18.1.2/24"),
    ]
    assert [(one.segment, *map(str, one.addresses)) for one in r1.interfaces] == [
        ("n1:r1", "172.18.1.254/24"),
        ("sw", "172.18.0.254/24"),
    ]
    assert (found.control_plane, str(found.machine("sw").addresses[0])) == ("sw", "172.18.0.1/24")


def test_a_rack_stands_for_its_links() -> None:
    machines = {"nodes": {"n1": {}, "n2": {}}, "hosts": {"h1": {}}, "routers": {"r1": {}, "r2": {}}}
    up = {"delay": "1ms"}
    racks = {
        "a": {"machines": ["n1", "h1"], "router": "r1", "uplinks": ["r2"], "uplink": up},
        "b": {"machines": ["n2"], "uplinks": ["r2"], "link": {"rate": "1gbit"}},
    }
    written = linked("n1-a", "h1-a", "a-r1", "r1-r2", "n2-b", "b-r2")
    found = planned(**machines, racks=racks)
    assert found.machines == written.machines
    assert {one.name: one.shapes[0] for one in found.cables} == {
        **{one.name: Shape() for one in written.cables},
        "r1:r2": Shape(0.001),
        "n2:b": Shape(rate_bps=1e9),
    }


def test_a_direction_that_says_nothing_of_its_own_is_like_the_other() -> None:
    link = {"endpoints": ["n1", "sw"], "delay": "2ms", "rate": "1gbit", "back": {"rate": "10mbit"}}
    found = planned(nodes={"n1": {}, "n2": {}}, links=[link, {"endpoints": ["n2", "sw"]}])
    assert found.cables[0].shapes == (Shape(0.002, rate_bps=1e9), Shape(0.002, rate_bps=1e7))
    assert found.cables[1].shapes == (Shape(), Shape())


def test_a_link_local_address_follows_from_the_mac() -> None:
    """RFC 4291, appendix A: the universal bit is turned over, ff:fe goes into the middle."""
    assert str(link_local("02:01:ac:12:00:02")) == "fe80::1:acff:fe12:2/64"
