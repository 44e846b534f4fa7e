"""Who reaches whom, as each pod network promises it; and a lab held against that promise.

`python -m tests.lab.reachability NETWORK` brings a lab up and prints what is not as promised: for a test that
does so as an ordinary user.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.traffic.reachability import Reach

LINK_MTU = 1500
OWN, NODE = "its own", "its node's"
"""Whose address the target sees."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a pod network says of packets that no service is involved in.

    `to_nodes` and `to_hosts` say as whom a pod is seen there ("": it is not answered); `from_hosts`
    whether outside hosts reach pods.
    """

    mtu: int = LINK_MTU
    """Of pods, and of the way from a node to another one's pods."""
    to_nodes: str = OWN
    """On other nodes than its own, which sees the pod's own address in every network."""
    to_hosts: str = ""
    from_hosts: bool = False


PROMISES: Mapping[str, Promise] = {
    "host-gw": Promise(),
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
    places = {row["name"]: Seen("node", tuple(row["addresses"])) for row in view["nodes"]}
    nodes = {name: place.addresses for name, place in places.items()}
    places |= {
        row["name"]: Seen("pod", tuple(row["ips"]), nodes[row["node"]], row["node"])
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
    """A place: its kind, its addresses, and of a pod its node's."""

    kind: str
    addresses: tuple[str, ...] = ()
    node_addresses: tuple[str, ...] = ()
    node: str = ""


def _problem(one: Reach, source: Seen, target: Seen, promise: Promise) -> str:
    """What is not as promised, or ""."""
    as_whom = _as_whom(one, source, target, promise)
    if not as_whom:
        return "reaches, against the promise" if one.reached else ""
    if not one.reached:
        return f"is promised, and does not reach: {one.outcome}"
    addresses = {OWN: source.addresses, NODE: source.node_addresses}
    # An outside host's address is told by nobody but those that see it.
    if source.kind != "host" and one.seen not in addresses[as_whom]:
        return f"is seen as {one.seen}, not by {as_whom} address"
    return _size_problem(one, source, target, promise)


def _as_whom(one: Reach, source: Seen, target: Seen, promise: Promise) -> str:
    """By which address the source is promised to be seen; "": it is not to be answered."""
    if source.kind == "host":
        return OWN if target.kind != "pod" or promise.from_hosts else ""
    if source.kind == "pod" and target.kind == "node" and one.target != source.node:
        return promise.to_nodes
    if source.kind == "pod" and target.kind == "host":
        return promise.to_hosts
    return OWN


def _size_problem(one: Reach, source: Seen, target: Seen, promise: Promise) -> str:
    """Packets are to come as large as links take: a pod's own, and between nodes and pods elsewhere."""
    pods = "pod" in (source.kind, target.kind)
    want = promise.mtu if pods else LINK_MTU
    # A node that answers a pod on another node by a route of the nodes' network may send larger packets than
    # the pod may: what counts is that what it sends comes.
    there = one.there_bytes >= want if source.kind != "pod" else one.there_bytes == want
    back = one.back_bytes >= want if target.kind != "pod" else one.back_bytes == want
    if there and back:
        return ""
    return f"packets of {one.there_bytes} and {one.back_bytes} bytes came, not of {want}"


def main(network: str) -> int:
    """0 where all is as promised."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    with Lab.up(topology({"cni": network}), name=name, ephemeral=True) as lab:
        problems = broken(lab, PROMISES[network])
    print("\n".join(problems))
    return bool(problems)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
