"""Topology -> machines on one switch."""

from __future__ import annotations

import pytest

from testbed.fabric.plan import Fabric, Machine, link_local, plan
from testbed.ip import ANYWHERE
from testbed.model.addressing import plan_addresses
from testbed.model.topology import Topology

SIX = "fd00:10:244::/56"


FAMILIES = {"4": {}, "6": {"podCIDR": SIX}, "4,6": {"podCIDR": f"10.244.0.0/16,{SIX}"}}
"""By IP families, the network of a topology."""


def fabric(nodes: int, hosts: int = 1, families: str = "4") -> Fabric:
    topology = Topology.model_validate(
        {
            "name": "fabric",
            "network": FAMILIES[families],
            "nodes": {f"n{number}": {} for number in range(1, nodes + 1)},
            "hosts": {f"h{number}": {} for number in range(1, hosts + 1)},
        }
    )
    return plan(plan_addresses(topology), 1400)


def of_kind(found: Fabric, kind: str) -> list[Machine]:
    return [machine for machine in found.machines if machine.kind == kind]


@pytest.mark.parametrize("families", FAMILIES)
def test_machines_are_told_apart_and_share_one_network(families: str) -> None:
    found = fabric(5, 3, families)
    assert found.mtu == 1400
    versions = [address.version for address in found.gateways]
    for machine in found.machines:
        assert [address.version for address in machine.addresses] == versions
        assert [one.network for one in machine.addresses] == [one.network for one in found.gateways]
        assert not {*machine.addresses} & {*found.gateways}
    for distinct in ("name", "addresses", "mac", "port"):
        assert len({getattr(machine, distinct) for machine in found.machines}) == 8


@pytest.mark.parametrize("families", FAMILIES)
def test_every_node_leaves_by_the_switch(families: str) -> None:
    found = fabric(2, families=families)
    rest = {ANYWHERE[gateway.version]: gateway.ip for gateway in found.gateways}
    for machine in of_kind(found, "node"):
        assert {route.destination: route.via for route in machine.routes} == rest


def test_a_host_has_no_route_to_anybody_else() -> None:
    for host in of_kind(fabric(3, hosts=2), "host"):
        assert host.routes == ()


def test_an_appended_node_moves_nobody() -> None:
    before = {machine.name: machine.addresses for machine in fabric(3).machines}
    after = {machine.name: machine.addresses for machine in fabric(4).machines}
    assert before.items() <= after.items()


def test_interface_names_fit() -> None:
    assert all(len(machine.port) < 16 for machine in fabric(100).machines)  # IFNAMSIZ


def test_a_link_local_address_follows_from_the_mac() -> None:
    """RFC 4291, appendix A: the universal bit is turned over, ff:fe goes into the middle."""
    assert str(link_local("02:01:ac:12:00:02")) == "fe80::1:acff:fe12:2/64"
