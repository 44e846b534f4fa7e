"""What `check` finds wrong with a balancer of provider cloud: where it is, and whom it can reach."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from testbed.errors import UsageError
from testbed.ip import IPNetwork
from testbed.model.addressing import AddressPlan, plan_addresses
from testbed.model.fields import Mistake, Path
from testbed.model.topology import Topology

_CLOUD: Path = ("loadBalancer", "cloud")


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """Every one; none where another provider is asked for."""
    balancer = topology.load_balancer
    if balancer.provider != "cloud":
        return
    cloud = balancer.cloud
    if cloud.proxy_protocol and cloud.program != "haproxy":
        message = (
            f"{cloud.program} passes packets on as they came: there is nothing to put in front"
        )
        yield Mistake((*_CLOUD, "proxyProtocol"), message, "use program: haproxy, or leave it out")
    if cloud.host in topology.nodes:
        message = f"{cloud.host} is a node; the balancer is outside the cluster"
        yield Mistake((*_CLOUD, "host"), message, "name one of hosts, or none: one is added")
        return
    try:
        plan = plan_addresses(topology)
    except UsageError:
        return  # a mistake of the networks', told as theirs
    yield from _out_of_reach(topology, plan)
    yield from _addresses_elsewhere(topology, plan)


def _out_of_reach(topology: Topology, plan: AddressPlan) -> Iterator[Mistake]:
    """Who passes packets on by MAC address reaches its own segment only."""
    cloud = topology.load_balancer.cloud
    near = _near(topology, plan)
    apart = [
        name
        for name, node in plan.nodes.items()
        if not node.fake and not any(_in(node.ips, network) for network in near)
    ]
    if cloud.program != "haproxy" and near and apart:
        message = (
            f"node {apart[0]} is in another segment than {cloud.host}, and {cloud.program} passes "
            "packets on by MAC address"
        )
        yield Mistake((*_CLOUD, "program"), message, "use program: haproxy, or join their switches")


def _addresses_elsewhere(topology: Topology, plan: AddressPlan) -> Iterator[Mistake]:
    """Neighbours ask for an address where they take it to be."""
    balancer = topology.load_balancer
    near = _near(topology, plan)
    for name, pool in balancer.all_pools.items():
        for index, one in enumerate(pool.addresses):
            if not near or any(one.first in network and one.last in network for network in near):
                continue
            path: Path = ("pools", name, "addresses", index)
            if balancer.addresses:
                path = ("addresses", index)
            where = " and ".join(map(str, near))
            message = f"{one} is not of the segment that {balancer.cloud.host} is in, {where}"
            yield Mistake(("loadBalancer", *path), message, "use addresses of it that nobody has")


def _near(topology: Topology, plan: AddressPlan) -> list[IPNetwork]:
    """The networks of the balancer's own segment."""
    ips = plan.hosts[topology.load_balancer.cloud.host].ips
    return [
        network for networks in plan.segments.values() for network in networks if _in(ips, network)
    ]


def _in(ips: tuple[str, ...], network: IPNetwork) -> bool:
    return any(ip_address(ip) in network for ip in ips)
