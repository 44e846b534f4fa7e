"""A flow's way through a cluster, read from every node's rules: node after node until someone has
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from testbed.proxy.packet import NodeTracer, Outcome, Packet
from tests.addresses import Plan
from tests.flow import CLOSED, DROPPED, LOST, REFUSED, UNTOUCHED, Answer, Flow

_VERDICTS = {"rejected": REFUSED, "dropped": DROPPED, "closed": CLOSED}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One way a flow may end: at `who` (a pod, or REFUSED, DROPPED, UNTOUCHED, LOST, CLOSED), which sees
    `source`.
    """

    who: str
    source: str
    probability: float
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Way:
    """What stays the same along the way: the machines, their rules, and where the client is."""

    plan: Plan
    tracers: Mapping[str, NodeTracer]
    client_node: str
    """The client's own node; "" for an outside host."""


def arrivals(flow: Flow, plan: Plan, tracers: Mapping[str, NodeTracer]) -> list[Arrival]:
    """Every way that a flow may end."""
    host, _, port = flow.to.rpartition(":")
    dst = plan.target(host)
    src = dst if host == "loopback" else plan.ip(flow.client)
    packet = Packet(flow.protocol, src, dst, int(port))
    at_home = flow.client if flow.client in plan.nodes else plan.pod_nodes.get(flow.client, "")
    way = _Way(plan, tracers, at_home)
    if flow.client in plan.nodes:
        return _onwards(flow.client, tracers[flow.client].from_node(packet), way)
    node = flow.via or at_home or host.removesuffix("-second")
    return _onwards(node, tracers[node].from_wire(packet), way)


def difference(answer: Answer, found: Iterable[Arrival]) -> str:
    """What is wrong with where a flow ends; "" when nothing."""
    found = list(found)
    if abs(sum(one.probability for one in found) - 1.0) > 1e-6:
        return "the probabilities do not add up to 1"
    ends = {(one.who, one.source) for one in found}
    expected = {*answer.pods.items(), *({(answer.otherwise, "")} if answer.otherwise else ())}
    if ends != expected:
        return f"expected {sorted(expected)}, got {sorted(ends)}"
    shares = [one.probability for one in found]
    if not answer.otherwise and any(abs(share - 1 / len(shares)) > 1e-9 for share in shares):
        # Ten decimals of a probability, through a cascade.
        return f"unequal shares {shares}"
    return ""


def shown(found: Iterable[Arrival]) -> str:
    """What was predicted, with the rules that say so, for the reader of a failure."""
    return "\n".join(
        f"{one.probability:.4f} {one.who} sees {one.source}\n    " + "\n    ".join(one.rules)
        for one in found
    )


def _onwards(node: str, outcomes: Iterable[Outcome], way: _Way) -> list[Arrival]:
    return [arrival for outcome in outcomes for arrival in _from(node, outcome, way)]


def _from(node: str, outcome: Outcome, way: _Way) -> list[Arrival]:
    """What becomes of a packet after one node's rules."""
    plan = way.plan
    if outcome.verdict != "accepted":
        return [Arrival(_VERDICTS[outcome.verdict], "", outcome.probability, outcome.rules)]
    packet = outcome.packet
    seen = replace(packet, mark=0, translated=False, masqueraded=False)
    if packet.masqueraded:
        seen = replace(seen, src=plan.nodes[node])
    owner = _owner(plan, seen.dst)
    next_node = plan.pod_nodes.get(owner, owner)
    if not owner or (next_node == node and owner in plan.nodes):
        return [Arrival(UNTOUCHED, "", outcome.probability, outcome.rules)]
    if next_node == node:
        names = {ip: name for name, ip in (plan.pods | plan.nodes | plan.hosts).items()}
        return [Arrival(owner, names.get(seen.src, seen.src), outcome.probability, outcome.rules)]
    is_astray = seen.src not in (plan.pods | plan.nodes | plan.hosts).values()
    if is_astray or (packet.translated and not packet.masqueraded and node != way.client_node):
        # The answer goes straight to the client, past the node that knows the address it dialled; to a
        # service address it goes nowhere, since every node takes it for its own.
        return [Arrival(LOST, "", outcome.probability, outcome.rules)]
    return [
        replace(
            arrival,
            probability=arrival.probability * outcome.probability,
            rules=outcome.rules + arrival.rules,
        )
        for arrival in _onwards(next_node, way.tracers[next_node].from_wire(seen), way)
    ]


def _owner(plan: Plan, ip: str) -> str:
    """The pod or node that has an address; "" where nobody has."""
    second = {address: node for node, address in plan.second.items()}
    owners = {address: name for name, address in (plan.pods | plan.nodes).items()}
    return (second | owners).get(ip, "")
