"""The one address plan of the proxy's tests: every literal address they use stands here.

Nodes n1 to n3 and the outside host `client` share a link; pods of node nX have a range of their own.
n1 is in zone a, n2 and n3 are in zone b. Each machine, pod and service has an IPv4 address in PLAN and an
IPv6 one in PLAN6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CLUSTER_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
FAR_CIDR = "203.0.113.0/24"
"""Addresses that nobody in the tests has."""
CLUSTER_CIDR6 = "fd00:10:244::/56"
SERVICE_CIDR6 = "fd00:10:96::/112"
FAR_CIDR6 = "2001:db8:203::/64"

ZONES = {"n1": "a", "n2": "b", "n3": "b"}

_SERVICES = (
    "web",
    "empty",
    "datagram",
    "multi",
    "draining",
    "mixed",
    "solo",
    "everywhere",
    "sticky",
    "internal",
    "external",
    "failing",
    "ranged",
    "outward",
    "brief",
    "sticky-ports",
    "stream",
    "proxied",
    "balanced",
    "open",
    "node-ranged",
    "client-ranged",
    "inward",
    "draining-out",
    "draining-in",
    "zoned",
    "node-zoned",
    "part-zoned",
    "far-zoned",
    "zoned-in",
    "zoned-draining",
    "external-empty",
    "internal-empty",
    "sticky-out",
    "outward-in",
    "portless",
    "dns",
    "only-4",
    "only-6",
    "ranged-in",
    "empty-in",
    "datagram-in",
    "sticky-empty",
    "balanced-empty",
)
"""Services by the last part of their cluster IP, from 1 on. In a lab these must be free, so they
keep clear of where allocation starts.
"""
_OUTER = {
    "outward-ip": 7,
    "external-lb": 8,
    "ranged-lb": 9,
    "balanced-lb": 10,
    "proxied-lb": 11,
    "open-lb": 12,
    "node-ranged-lb": 13,
    "client-ranged-lb": 14,
    "inward-lb": 15,
    "draining-out-lb": 16,
    "external-empty-ip": 17,
    "external-empty-lb": 18,
    "outward-in-ip": 19,
    "portless-lb": 20,
    "sticky-out-lb": 21,
    "ranged-in-lb": 22,
    "balanced-empty-lb": 23,
    "empty-in-ip": 24,
}
"""Addresses outside the cluster that services answer at, by their last part."""


def _addresses(service: str, outer: str) -> dict[str, str]:
    """By templates that take a number."""
    numbers = {name: number for number, name in enumerate(_SERVICES, start=1)}
    numbers |= {"unused": 250, "foreign": 251}
    services = {name: service.format(number) for name, number in numbers.items()}
    return services | {name: outer.format(number) for name, number in _OUTER.items()}


@dataclass(frozen=True, slots=True)
class Plan:
    """Who has which address of one IP family: `pods` by name, `pod_nodes` where each runs, nodes and hosts
    by name, `addresses` those of services.
    """

    nodes: Mapping[str, str]
    hosts: Mapping[str, str]
    pods: Mapping[str, str]
    pod_nodes: Mapping[str, str]
    addresses: Mapping[str, str] = field(default_factory=dict)
    overlay: Mapping[str, str] = field(default_factory=dict)
    """Address -> node: those that nodes have in the pod network itself."""
    second: Mapping[str, str] = field(default_factory=dict)
    """A further address of a node, by the node's name."""
    family: int = 4

    def ip(self, name: str) -> str:
        """The address of a node, host or pod."""
        for known in (self.nodes, self.hosts, self.pods):
            if name in known:
                return known[name]
        raise KeyError(f"{name} is in no address plan")

    def target(self, name: str) -> str:
        """The address of whatever a flow may dial: also `loopback`, a service, its full name, an address
        of its own, a node's second address as in `n1-second`.
        """
        if name == "loopback":
            return "::1" if self.family == 6 else "127.0.0.1"
        if name.endswith("-second"):
            return self.second[name.removesuffix("-second")]
        if name in self.addresses:
            return self.addresses[name]
        return self.addresses[name.partition(".")[0]] if "." in name else self.ip(name)

    @property
    def far_cidr(self) -> str:
        """Addresses that nobody has."""
        return FAR_CIDR6 if self.family == 6 else FAR_CIDR


POD_NODES = {
    "web-0": "n1",
    "web-1": "n2",
    "web-2": "n1",
    "web-3": "n2",
    "dialer-1": "n1",
    "dialer-3": "n3",
}
_PODS = {"web-0": 10, "web-1": 10, "web-2": 9, "web-3": 9, "dialer-1": 50, "dialer-3": 50}

PLAN = Plan(
    nodes={"n1": "192.0.2.11", "n2": "192.0.2.12", "n3": "192.0.2.13"},
    hosts={"client": "192.0.2.100"},
    pods={pod: f"10.244.{POD_NODES[pod][1:]}.{number}" for pod, number in _PODS.items()},
    pod_nodes=POD_NODES,
    addresses=_addresses("10.96.200.{}", "198.51.100.{}"),
    second={"n1": "192.0.2.21"},
)
PLAN6 = Plan(
    nodes={"n1": "2001:db8:192::11", "n2": "2001:db8:192::12", "n3": "2001:db8:192::13"},
    hosts={"client": "2001:db8:192::100"},
    pods={pod: f"fd00:10:244:{POD_NODES[pod][1:]}::{number}" for pod, number in _PODS.items()},
    pod_nodes=POD_NODES,
    addresses=_addresses("fd00:10:96::c{:03}", "2001:db8:198::{}"),
    second={"n1": "2001:db8:192::21"},
    family=6,
)

WEB = PLAN.addresses["web"]
EMPTY = PLAN.addresses["empty"]
DATAGRAM = PLAN.addresses["datagram"]
SOLO = PLAN.addresses["solo"]
EVERYWHERE = PLAN.addresses["everywhere"]
STICKY = PLAN.addresses["sticky"]
FOREIGN = PLAN.addresses["foreign"]
UNUSED = PLAN.addresses["unused"]
EXTERNAL_IP = PLAN.addresses["outward-ip"]
LOAD_BALANCER_IP = PLAN.addresses["external-lb"]


def crowd_ip(index: int) -> str:
    """The cluster IP of one of many services, index from 0 to 49,999."""
    return f"10.96.{index // 250}.{index % 250 + 1}"
