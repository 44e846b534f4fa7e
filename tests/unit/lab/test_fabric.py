"""Topology -> machines on one switch."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest

from testbed.fabric.plan import Fabric, Machine, plan
from testbed.model.addressing import plan_addresses
from testbed.model.topology import Topology


def fabric(nodes: int, hosts: int = 1) -> Fabric:
    topology = Topology.model_validate(
        {
            "name": "fabric",
            "nodes": {f"n{number}": {} for number in range(1, nodes + 1)},
            "hosts": {f"h{number}": {} for number in range(1, hosts + 1)},
        }
    )
    return plan(plan_addresses(topology), topology.network.node_cidr, 1400)


def of_kind(found: Fabric, kind: str) -> list[Machine]:
    return [machine for machine in found.machines if machine.kind == kind]


def test_machines_are_told_apart_and_share_one_network() -> None:
    found = fabric(nodes=5, hosts=3)
    assert found.mtu == 1400
    assert {machine.address.network for machine in found.machines} == {found.gateway.network}
    assert found.gateway not in {machine.address for machine in found.machines}
    for distinct in ("name", "address", "mac", "port"):
        assert len({getattr(machine, distinct) for machine in found.machines}) == 8


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_every_node_routes_every_other_nodes_pods_to_it_and_the_rest_to_the_switch(
    nodes: int,
) -> None:
    found = fabric(nodes)
    machines = of_kind(found, "node")
    rest = {IPv4Network("0.0.0.0/0"): found.gateway.ip}
    for machine in machines:
        others = {other.pod_cidr: other.address.ip for other in machines if other is not machine}
        assert {route.destination: route.via for route in machine.routes} == others | rest


def test_pod_ranges_do_not_overlap() -> None:
    ranges = [machine.pod_cidr for machine in of_kind(fabric(5), "node")]
    assert all(a and b and not a.overlaps(b) for a, b in combinations(ranges, 2))


def test_a_host_has_no_pods_and_no_route_to_any() -> None:
    for host in of_kind(fabric(3, hosts=2), "host"):
        assert (host.pod_cidr, host.routes) == (None, ())


def test_an_appended_node_moves_nobody() -> None:
    before = {machine.name: machine.address for machine in fabric(3).machines}
    after = {machine.name: machine.address for machine in fabric(4).machines}
    assert before.items() <= after.items()


def test_interface_names_fit() -> None:
    assert all(len(machine.port) < 16 for machine in fabric(100).machines)  # IFNAMSIZ
