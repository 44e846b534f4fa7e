"""A flow's way through a cluster, read from every node's rules: node after node until someone has
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from testbed.model.objects import Object, Service
from testbed.proxy.packet import Outcome, Packet
from testbed.proxy.tracer import Tracer
from tests.addresses import Plan
from tests.flows import DROPPED, REFUSED, UNTOUCHED, Flow


@dataclass(frozen=True, slots=True)
class Arrival:
    """One way a flow may end: at `who` (a pod, or REFUSED, DROPPED, UNTOUCHED), which sees
    `source`.
    """

    who: str
    source: str
    probability: float
    rules: tuple[str, ...]


def arrivals(
    flow: Flow, plan: Plan, objects: Iterable[Object], tracers: Mapping[str, Tracer]
) -> list[Arrival]:
    """Every way that a flow may end."""
    host, _, port = flow.to.rpartition(":")
    src = "127.0.0.1" if host == "127.0.0.1" else plan.ip(flow.client)
    packet = Packet(flow.protocol, src, _address(host, plan, objects), int(port))
    if flow.client in plan.nodes:
        outcomes = tracers[flow.client].from_node(packet)
        return _onwards(flow.client, outcomes, plan, tracers)
    node = flow.via or plan.pod_nodes.get(flow.client) or host
    return _onwards(node, tracers[node].from_wire(packet), plan, tracers)


def _address(host: str, plan: Plan, objects: Iterable[Object]) -> str:
    for item in objects:
        if isinstance(item, Service):
            name = f"{item.meta.name}.{item.meta.namespace}.svc.cluster.local"
            if name == host:
                return item.cluster_ip
    known = {**plan.nodes, **plan.hosts, **plan.pods}
    return known.get(host, host)


def _onwards(
    node: str, outcomes: Iterable[Outcome], plan: Plan, tracers: Mapping[str, Tracer]
) -> list[Arrival]:
    found: list[Arrival] = []
    for outcome in outcomes:
        found += _from(node, outcome, plan, tracers)
    return found


def _from(node: str, outcome: Outcome, plan: Plan, tracers: Mapping[str, Tracer]) -> list[Arrival]:
    """What becomes of a packet after one node's rules."""
    if outcome.verdict != "accepted":
        who = REFUSED if outcome.verdict == "rejected" else DROPPED
        return [Arrival(who, "", outcome.probability, outcome.rules)]
    seen = replace(outcome.packet, mark=0, translated=False, masqueraded=False)
    if outcome.packet.masqueraded:
        seen = replace(seen, src=plan.nodes[node])
    owner = {ip: name for name, ip in (plan.pods | plan.nodes).items()}.get(seen.dst)
    next_node = plan.pod_nodes.get(owner, owner) if owner else None
    if next_node is None or (next_node == node and owner in plan.nodes):
        return [Arrival(UNTOUCHED, "", outcome.probability, outcome.rules)]
    if next_node == node and owner:
        names = {ip: name for name, ip in (plan.pods | plan.nodes | plan.hosts).items()}
        return [Arrival(owner, names[seen.src], outcome.probability, outcome.rules)]
    return [
        replace(
            arrival,
            probability=arrival.probability * outcome.probability,
            rules=outcome.rules + arrival.rules,
        )
        for arrival in _onwards(next_node, tracers[next_node].from_wire(seen), plan, tracers)
    ]
