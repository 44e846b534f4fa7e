"""The one address plan of the proxy's tests: every literal address they use stands here.

Nodes n1 to n3 and the outside host `client` share 192.0.2.0/24; pods of node nX are 10.244.X.0/24.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CLUSTER_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
FAR_CIDR = "203.0.113.0/24"
"""Addresses that nobody in the tests has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who has which address: `pods` by name, `pod_nodes` where each runs, nodes and hosts by name."""

    nodes: Mapping[str, str]
    hosts: Mapping[str, str]
    pods: Mapping[str, str]
    pod_nodes: Mapping[str, str]

    def ip(self, name: str) -> str:
        """The address of a node, host or pod."""
        for known in (self.nodes, self.hosts, self.pods):
            if name in known:
                return known[name]
        raise KeyError(f"{name} is in no address plan")


PLAN = Plan(
    nodes={"n1": "192.0.2.11", "n2": "192.0.2.12", "n3": "192.0.2.13"},
    hosts={"client": "192.0.2.100"},
    pods={
        "web-0": "10.244.1.10",
        "web-1": "10.244.2.10",
        "web-2": "10.244.1.9",
        "web-3": "10.244.2.9",
        "dialer-1": "10.244.1.50",
        "dialer-3": "10.244.3.50",
    },
    pod_nodes={
        "web-0": "n1",
        "web-1": "n2",
        "web-2": "n1",
        "web-3": "n2",
        "dialer-1": "n1",
        "dialer-3": "n3",
    },
)

# Cluster IPs. In a lab they must be free, so they keep clear of where allocation starts.
WEB = "10.96.200.1"
EMPTY = "10.96.200.2"
DATAGRAM = "10.96.200.3"
MULTI = "10.96.200.4"
DRAINING = "10.96.200.5"
MIXED = "10.96.200.6"
SOLO = "10.96.200.7"
EVERYWHERE = "10.96.200.8"
STICKY = "10.96.200.9"
INTERNAL_LOCAL = "10.96.200.10"
EXTERNAL_LOCAL = "10.96.200.11"
FAILING = "10.96.200.12"
OUTWARD = "10.96.200.14"
RANGED = "10.96.200.13"
FOREIGN = "10.96.200.251"
UNUSED = "10.96.200.250"

EXTERNAL_IP = "198.51.100.7"
LOAD_BALANCER_IP = "198.51.100.8"
LOAD_BALANCER_RANGED_IP = "198.51.100.9"


def crowd_ip(index: int) -> str:
    """The cluster IP of one of many services, index from 0 to 49,999."""
    return f"10.96.{index // 250}.{index % 250 + 1}"
