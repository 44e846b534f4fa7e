"""Who reaches whom, as each pod network promises it; and a lab held against that promise.

`python -m tests.lab.reachability NETWORK RUNTIME` brings a lab up and prints what is not as promised: for
a test that does so as an ordinary user.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from testbed.ip import IPNetwork
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.traffic.reachability import Reach

LINK_MTU = 1500
OWN, NODE, OF_NETWORK = "its own", "its node's", "its pod network's"
"""Whose address the target sees: the last is a node's address in its pods' range."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a pod network says of packets that no service is involved in.

    `to_nodes` and `to_hosts` say as whom a pod is seen there ("": it is not answered); `nodes_as` as whom a
    node is seen by pods on other nodes, `nodes_as_at_home` by its own; `from_hosts` whether outside hosts
    reach pods.
    """

    mtu: int = LINK_MTU
    """Of pods, and of the way from a node to another one's pods."""
    to_nodes: str = OWN
    """On other nodes than its own, which sees the pod's own address in every network."""
    to_hosts: str = ""
    nodes_as: str = OWN
    nodes_as_at_home: str = OWN
    from_hosts: bool = False


PROMISES: Mapping[str, Promise] = {
    "host-gw": Promise(),
    "vxlan": Promise(1450, NODE, NODE, nodes_as=OF_NETWORK),
    "bgp": Promise(to_nodes=NODE, to_hosts=NODE),
    "weave": Promise(1450, NODE, NODE, nodes_as=OF_NETWORK, nodes_as_at_home=OF_NETWORK),
}
"""By the name that `network.cni` has for it."""


def topology(network: Mapping[str, Any], **more: Any) -> Topology:
    """Three nodes with pods on two of them, two on one; a host outside."""
    return Topology.model_validate(
        {
            "name": "reachability",
            "network": network,
            "nodes": {"n1": {}, "n2": {}, "n3": {}},
            "hosts": {"outside": {}},
            "dns": {"replicas": 0},
            "workloads": {"a": {"node": "n1"}, "b": {"node": "n1"}, "c": {"node": "n2"}},
            **more,
        }
    )


def broken(lab: Lab, promise: Promise) -> list[str]:
    """A sentence for each pair that is not as promised. Every pod, node and outside host to every other."""
    view = lab.inspect()
    places = {
        row["name"]: Seen("node", tuple(row["addresses"]), row["name"], ip_network(row["podCIDR"]))
        for row in view["nodes"]
    }
    nodes = {name: place.addresses for name, place in places.items()}
    places |= {
        row["name"]: Seen("pod", tuple(row["ips"]), row["node"], node_addresses=nodes[row["node"]])
        for row in view["pods"]
    }
    found = lab.reachability()
    asked = {(one.source, one.target) for one in found}
    everybody = {name for one in found for name in (one.source, one.target)}
    for name in everybody - set(places):
        places[name] = Seen("host")
    missing = {(a, b) for a in everybody for b in everybody if a != b} - asked
    assert everybody > set(nodes), found
    assert not missing, f"not tried: {sorted(missing)}"
    return [
        f"{one.source} -> {one.target}: {problem} ({one})"
        for one in found
        if (problem := _problem(one, places[one.source], places[one.target], promise))
    ]


@dataclass(frozen=True, slots=True)
class Seen:
    """A place: its kind, its addresses, its node (a node's own name), and of that what it has in its turn."""

    kind: str
    addresses: tuple[str, ...] = ()
    node: str = ""
    pods: IPNetwork | None = None
    node_addresses: tuple[str, ...] = ()

    def is_seen_as(self, address: str, whose: str) -> bool:
        """Whether that address is the place's own, its node's, or of its range."""
        if whose == OF_NETWORK:
            return self.pods is not None and ip_address(address) in self.pods
        return address in (self.addresses if whose == OWN else self.node_addresses)


def _problem(one: Reach, source: Seen, target: Seen, promise: Promise) -> str:
    """What is not as promised, or ""."""
    whose = _whose_address(source, target, promise)
    if not whose:
        return "reaches, against the promise" if one.reached else ""
    if not one.reached:
        return f"is promised, and does not reach: {one.outcome}"
    # Of an outside host's address the lab tells nobody but those that see it.
    if source.kind != "host" and not source.is_seen_as(one.seen, whose):
        return f"is seen as {one.seen}, not by {whose} address"
    want = promise.mtu if "pod" in (source.kind, target.kind) else LINK_MTU
    if (one.there_bytes, one.back_bytes) != (want, want):
        return f"packets of {one.there_bytes} and {one.back_bytes} bytes came, not of {want}"
    return ""


def _whose_address(source: Seen, target: Seen, promise: Promise) -> str:
    """By which address the source is promised to be seen; "": it is not to be answered."""
    at_home = source.node == target.node
    match source.kind, target.kind:
        case "host", "pod":
            return OWN if promise.from_hosts else ""
        case "pod", "node" if not at_home:
            return promise.to_nodes
        case "pod", "host":
            return promise.to_hosts
        case "node", "pod":
            return promise.nodes_as_at_home if at_home else promise.nodes_as
    return OWN


def main(network: str, runtime: str) -> int:
    """0 where all is as promised."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    asked = topology({"cni": network}, runtime=runtime)
    with Lab.up(asked, name=name, ephemeral=True) as lab:
        problems = broken(lab, PROMISES[network])
    print("\n".join(problems))
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
