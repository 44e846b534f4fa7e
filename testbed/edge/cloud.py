"""A cloud's load balancer as values: what it listens on, which nodes it may send to, how it checks them.

A node's condition Ready does not matter to clouds, health checks decide (KEP-3458: a stable set of nodes).
Sources: KEP-1860 (ipMode), KEP-3836 (the proxy's /healthz).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from testbed.edge.balanced import Balanced, BalancedPort, is_usable
from testbed.ip import family_of
from testbed.model.cloud import CADENCES, Cadence, Cloud
from testbed.model.objects.nodes import Node

PROXY_HEALTH_PORT = 10256
"""kube-proxy's --healthz-bind-address."""
HEALTH_PATH = "/healthz"
IP_MODES = {"haproxy": "Proxy", "nftables": "VIP", "ipvs": "VIP"}
"""What nodes get: a connection of the balancer's to their node port, or the client's packets as they came."""
PROTOCOLS = {
    "haproxy": frozenset({"TCP"}),
    "nftables": frozenset({"TCP", "UDP", "SCTP"}),
    "ipvs": frozenset({"TCP", "UDP", "SCTP"}),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A node by its address of the frontend's family."""

    node: str
    ip: str


@dataclass(frozen=True, slots=True)
class Check:
    """A question to a node; frontends with the same one share its answer. `path` "": a connection will do."""

    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Frontend:
    """An address and port that the balancer answers, and who may take what comes there."""

    service: str
    """namespace/name."""
    protocol: str
    address: str
    port: int
    node_port: int
    """0: none; whoever passes packets on as they came needs none."""
    targets: tuple[Target, ...]
    """By name."""
    check: Check
    sticky: bool
    source_ranges: tuple[str, ...]
    """Who may come in; empty: everybody."""

    @property
    def name(self) -> str:
        """A name of its own, which begins with a letter as a service's does."""
        namespace, _, service = self.service.partition("/")
        where = self.address.replace(":", ".")
        return f"{service}.{namespace}-{self.protocol.lower()}-{where}-{self.port}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A port that this balancer cannot serve, and why."""

    service: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the balancer is to do, but for what it finds out about nodes."""

    frontends: tuple[Frontend, ...] = ()
    """By name."""
    cadence: Cadence = CADENCES["gce"]
    refused: tuple[Refusal, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every address that it answers, once."""
        return tuple(sorted({one.address for one in self.frontends}))

    @property
    def checks(self) -> frozenset[tuple[Target, Check]]:
        """What is to be asked of whom."""
        return frozenset((target, one.check) for one in self.frontends for target in one.targets)


def plan(services: Iterable[Balanced], nodes: Iterable[Node], cloud: Cloud) -> Plan:
    """The plan for services that have addresses of this provider's."""
    members = sorted(filter(is_usable, nodes), key=lambda node: node.meta.name)
    frontends: list[Frontend] = []
    refused: list[Refusal] = []
    for service in services:
        for port in service.ports:
            if (why := _refused(service, port, cloud)) is not None:
                refused.append(why)
            else:
                frontends += _frontends(service, port, cloud, members)
    return Plan(
        tuple(sorted(frontends, key=lambda one: one.name)),
        cloud.health_check.cadence,
        tuple(refused),
    )


def check_of(service: Balanced, port: BalancedPort, cloud: Cloud) -> Check:
    """How a node is asked whether it takes the service's traffic."""
    if service.health_check_node_port:
        return Check(service.health_check_node_port, HEALTH_PATH)
    if cloud.health_check.probe == "nodePort" and port.node_port and port.protocol == "TCP":
        return Check(port.node_port, "")
    return Check(PROXY_HEALTH_PORT, HEALTH_PATH)


def _frontends(
    service: Balanced, port: BalancedPort, cloud: Cloud, nodes: list[Node]
) -> Iterator[Frontend]:
    """Every node may be sent what is of policy Local, too: its health check says whether it has an endpoint."""
    for address in service.addresses:
        family = address.version
        yield Frontend(
            service=service.key,
            protocol=port.protocol,
            address=str(address),
            port=port.port,
            node_port=port.node_port,
            targets=tuple(
                Target(node.meta.name, ip)
                for node in nodes
                for ip in node.internal_ips
                if family_of(ip) == family
            ),
            check=check_of(service, port, cloud),
            sticky=service.session_affinity,
            source_ranges=tuple(
                cidr for cidr in service.source_ranges if family_of(cidr) == family
            ),
        )


def _refused(service: Balanced, port: BalancedPort, cloud: Cloud) -> Refusal | None:
    if port.protocol not in PROTOCOLS[cloud.program]:
        message = (
            f"{cloud.program} balances no {port.protocol}; cloud.program nftables or ipvs does"
        )
        return Refusal(service.key, message)
    if IP_MODES[cloud.program] == "Proxy" and not port.node_port:
        message = (
            f"{cloud.program} dials node ports, and port {port.port} has none "
            "(allocateLoadBalancerNodePorts: false)"
        )
        return Refusal(service.key, message)
    return None
