"""Addresses of machines and pod ranges; those of services."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.model.addressing import dns_ips, plan_addresses, pod_prefix, pods_per_node
from testbed.model.allocation import allocate, allocate_all
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service, ServicePort
from testbed.model.topology import Topology

SERVICES = (IPv4Network("10.96.0.0/16"),)


def lab(nodes: int, hosts: int = 0, **network: Any) -> Topology:
    return Topology.model_validate(
        {
            "name": "lab",
            "nodes": {f"n{index}": {} for index in range(1, nodes + 1)},
            "hosts": {f"h{index}": {} for index in range(1, hosts + 1)},
            "network": network,
        }
    )


def test_nodes_hosts_and_pod_ranges_in_order() -> None:
    plan = plan_addresses(lab(2, 2))
    assert [(*node.ips, *node.pod_cidrs) for node in plan.nodes.values()] == [
        ("172.18.0.2", "10.244.0.0/24"),
        ("172.18.0.3", "10.244.1.0/24"),
    ]
    assert [host.ips for host in plan.hosts.values()] == [("172.18.128.1",), ("172.18.128.2",)]
    assert plan.networks == (IPv4Network("172.18.0.0/16"),)


@given(st.integers(1, 60), st.integers(0, 20), st.integers(0, 20))
def test_appending_moves_nobody(nodes: int, hosts: int, more: int) -> None:
    before, after = (
        plan_addresses(lab(nodes, hosts)),
        plan_addresses(lab(nodes + more, hosts + more)),
    )
    assert before.nodes.items() <= after.nodes.items()
    assert before.hosts.items() <= after.hosts.items()


@given(st.integers(1, 100), st.integers(0, 50), st.integers(8, 22))
def test_no_address_is_given_twice(nodes: int, hosts: int, prefix: int) -> None:
    plan = plan_addresses(
        lab(nodes, hosts, podCIDR=f"10.0.0.0/{prefix}", serviceCIDR="11.0.0.0/16")
    )
    machines = [ip for one in (*plan.nodes.values(), *plan.hosts.values()) for ip in one.ips]
    assert len(set(machines)) == nodes + hosts
    assert all(IPv4Address(ip) in IPv4Network("172.18.0.0/16") for ip in machines)
    ranges = [IPv4Network(node.pod_cidrs[0]) for node in plan.nodes.values()]
    assert all(part.subnet_of(IPv4Network(f"10.0.0.0/{prefix}")) for part in ranges)
    assert not any(one.overlaps(other) for one, other in pairwise(ranges))


@pytest.mark.parametrize(
    ("cidr", "nodes", "prefix", "pods"),
    [
        ("10.244.0.0/16", 3, 24, 253),
        ("10.244.0.0/16", 256, 24, 253),
        ("10.244.0.0/16", 257, 25, 125),
        ("10.244.0.0/24", 1, 24, 253),
        ("10.244.0.0/24", 3, 26, 61),
    ],
)
def test_a_nodes_pod_range_is_a_24_or_what_fits(
    cidr: str, nodes: int, prefix: int, pods: int
) -> None:
    assert pod_prefix(IPv4Network(cidr), nodes) == prefix
    assert pods_per_node(prefix) == pods


@pytest.mark.parametrize(
    "topology",
    [lab(3, nodeCIDR="172.18.0.0/29"), lab(1, 4, nodeCIDR="172.18.0.0/29"),
     lab(5, podCIDR="10.244.0.0/29")],
)  # fmt: skip
def test_too_small_a_network_is_refused(topology: Topology) -> None:
    with pytest.raises(UsageError, match="no room"):
        plan_addresses(topology)


def test_dns_has_the_tenth_address_of_each_range() -> None:
    both = (*SERVICES, IPv6Network("fd00:10:96::/112"))
    assert dns_ips(both) == ("10.96.0.10", "fd00:10:96::a")


def service(name: str, *node_ports: int, **fields: Any) -> Service:
    ports = tuple(
        ServicePort(80 + index, f"p{index}", node_port=node_port)
        for index, node_port in enumerate(node_ports or (0,))
    )
    kind = "NodePort" if node_ports else "ClusterIP"
    return Service(ObjectMeta(name, "default"), ports, **{"type": kind, **fields})


def test_an_allocation_depends_on_the_name_alone() -> None:
    services = [service(f"s{index}", 0) for index in range(20)]
    forward, backward = allocate_all(services, SERVICES), allocate_all(services[::-1], SERVICES)
    assert forward == backward[::-1]
    assert allocate(services[3], (), SERVICES) == forward[3]


def test_allocated_addresses_are_distinct_and_above_the_static_band() -> None:
    services = allocate_all([service(f"s{index}") for index in range(2000)], SERVICES)
    addresses = {IPv4Address(item.cluster_ip) for item in services}
    assert len(addresses) == 2000
    assert min(addresses) > SERVICES[0][16]
    assert addresses <= set(SERVICES[0].hosts())


def test_what_one_asks_for_no_other_draws() -> None:
    drawn = allocate(service("a", 0), (), SERVICES)
    rival = service("b", drawn.ports[0].node_port, cluster_ips=(drawn.cluster_ip,))
    first, second = allocate_all([service("a", 0), rival], SERVICES)
    assert (second.cluster_ips, second.ports) == (rival.cluster_ips, rival.ports)
    assert first.cluster_ip != rival.cluster_ip
    assert first.ports[0].node_port != rival.ports[0].node_port


def test_existing_services_keep_what_they_have() -> None:
    old = allocate_all([service(f"s{index}", 0) for index in range(50)], SERVICES)
    new = allocate(service("new", 0, 0), old, SERVICES)
    assert new.cluster_ip not in {item.cluster_ip for item in old}
    taken = {port.node_port for item in old for port in item.ports}
    assert len({port.node_port for port in new.ports} - taken) == 2
    assert allocate(old[7], old, SERVICES) == old[7]


def test_headless_and_external_names_get_no_address() -> None:
    headless = service("a", cluster_ips=("None",))
    external = service("b", type="ExternalName", external_name="example.org")
    first, second = allocate_all([headless, external], SERVICES)
    assert (first.cluster_ips, second) == (("None",), external)


BALANCED = {"type": "LoadBalancer", "external_traffic_policy": "Local"}


@pytest.mark.parametrize(
    ("fields", "node_port", "health_check"),
    [
        ({"type": "LoadBalancer"}, True, False),
        ({"type": "LoadBalancer", "allocate_load_balancer_node_ports": False}, False, False),
        (BALANCED, True, True),
        (BALANCED | {"allocate_load_balancer_node_ports": False}, False, True),
        ({"type": "NodePort", "external_traffic_policy": "Local"}, True, False),
        ({"type": "NodePort", "allocate_load_balancer_node_ports": False}, True, False),
    ],
)
def test_node_ports_and_health_check_node_ports(
    fields: dict[str, Any], node_port: bool, health_check: bool
) -> None:
    found = allocate(service("a", **fields), (), SERVICES)
    assert bool(found.ports[0].node_port) == node_port
    assert bool(found.health_check_node_port) == health_check
    assert found.health_check_node_port != found.ports[0].node_port or not health_check
    assert allocate(found, [found], SERVICES) == found


def test_a_health_check_node_port_is_nobody_elses() -> None:
    checked = service("a", **BALANCED, health_check_node_port=30500)
    with pytest.raises(UsageError, match="node port 30500/TCP is taken by service default/a"):
        allocate(service("b", 30500), [checked], SERVICES)
    with pytest.raises(UsageError, match="node port 30500/TCP is taken by service default/b"):
        allocate(checked, [service("b", 30500)], SERVICES)
    with pytest.raises(UsageError, match="this service has no health check"):
        allocate(service("a", 0, health_check_node_port=30500), [], SERVICES)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (service("a", cluster_ips=("10.97.0.1",)), "is not one of serviceCIDR"),
        (service("a", cluster_ips=("10.96.0.0",)), "is not one of serviceCIDR"),
        (service("a", cluster_ips=("10.96.7.7",)), "is taken by service default/other"),
        (service("a", 30007), "node port 30007/TCP is taken by service default/other"),
        (service("a", 30008, 30008), "node port 30008/TCP is taken by service default/a"),
        (service("a", 80), "node ports are from 30000 to 32767"),
        (service("a", 30009, type="ClusterIP"), "has no node port"),
        (service("a", 0, cluster_ips=("None",)), "cannot be headless"),
        (service("a", type="ExternalName", cluster_ips=("10.96.0.7",)), "has no address"),
    ],
)
def test_what_cannot_be_had_is_refused(wanted: Service, message: str) -> None:
    other = service("other", 30007, cluster_ips=("10.96.7.7",))
    with pytest.raises(UsageError, match=message):
        allocate(wanted, [other], SERVICES)


def test_a_small_range_is_used_to_its_last_address() -> None:
    small = IPv4Network("10.96.0.0/27")
    services = allocate_all([service(f"s{index}") for index in range(30)], (small,))
    assert {item.cluster_ip for item in services} == {str(address) for address in small.hosts()}
    with pytest.raises(OutOfTimeOrRoom, match="used up"):
        allocate(service("one-too-many"), services, (small,))
