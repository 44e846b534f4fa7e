"""The edge of the cluster: node ports, and a load balancer that nobody provides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from testbed.claims.claim import Claim, Observation, still
from testbed.claims.entries import Entry, dialled, entry_of, ip_of, tables
from testbed.claims.judging import always, saw
from testbed.claims.rules_read import tracer
from testbed.claims.stage import OUTSIDE, Stage
from testbed.proxy.packet import Packet

FROM_OUTSIDE = "192.0.2.250"
"""An address that is nobody's in the cluster, of the packet that is traced."""
ATTEMPTS = 8
"""Dials of each node's port: enough that not all of them find a backend on that very node."""

_TARGET = re.compile(r" -j (\S+)")
_IN_NFT = re.compile(r"(@service-\w+|\bservice-[A-Z0-9]{8}-\S+|\bdnat\b|\bmasquerade\b)")
"""Of a rule: the chain that it leads to, the map it looks into, or what it does to the packet."""

Rows = Sequence[Mapping[str, Any]]
Tables = Mapping[str, Sequence[Entry]]


def observe(stage: Stage) -> Mapping[str, Observation]:
    """Node ports dialled from outside, one after the other; then what the nodes' kernels know of it."""
    port = node_port(stage, "web")
    at_ports = [
        {"host": ip, "port": port, "node": node}
        for node, ip in stage.nodes.items()
        for _ in range(ATTEMPTS)
    ]
    balanced = [{"host": ip, "port": node_port(stage, "balanced")} for ip in stage.nodes.values()]
    answers = stage.ask(OUTSIDE, dial_in_turn=[at_ports, balanced])["dial_in_turn"]
    entered, to_balanced = answers
    return {
        "node-port-everywhere": _everywhere(entered),
        "node-port-directly": _directly(stage, entered),
        "node-port-by-cluster-address": by_cluster_address(
            entered, tables(stage), stage.address("web"), _traced(stage, "web")
        ),
        "load-balancer-pending": _pending(stage, to_balanced),
    }


def node_port(stage: Stage, service: str) -> int:
    """The port of a service on every node."""
    return int(stage.service(service)["ports"][0]["nodePort"])


def _everywhere(rows: Rows) -> Observation:
    wrong = [f"{row['host']}:{row['port']}: {row['error']}" for row in rows if not row["who"]]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _directly(stage: Stage, rows: Rows) -> Observation:
    """Whether the pod is on the node that was dialled, and sees who dialled."""
    answered = [row for row in rows if row["who"]]
    hop = [row for row in answered if stage.pods[row["who"]].node != row["node"]]
    rewritten = [row for row in answered if ip_of(row["seen"]) != ip_of(row["own"])]
    direct = [row for row in answered if row not in hop and row not in rewritten]
    at_once = [row["took_us"] for row in answered if row not in hop]
    figures: dict[str, Any] = {
        "extra_hop_share": len(hop) / len(answered) if answered else None,
        "source_rewritten_share": len(rewritten) / len(answered) if answered else None,
        "same_node_us": median(at_once) if at_once else None,
        "extra_hop_us": median(row["took_us"] for row in hop) if hop else None,
    }
    remark = (
        f"{len(hop)} of {len(answered)} went on to another node, in {len(rewritten)} the pod saw "
        "a node's address in place of the client's"
    )
    if hop and at_once:
        took = f"{figures['extra_hop_us']:.0f} µs, {figures['same_node_us']:.0f} µs without"
        remark += f"; a request with the extra hop took {took}"
    exception = _first(
        f"{row['own']} dialled {row['node']}; {row['who']} on {stage.pods[row['who']].node} answered"
        f" and saw {row['seen']}"
        for row in [*hop, *rewritten]
    )
    return saw(len(answered), len(direct), exception, remark=f"{remark}.", **figures)


def by_cluster_address(
    rows: Rows, known: Tables, service: str, traced: tuple[str, bool] | None
) -> Observation:
    """Whether a packet to a node port is ever addressed to the service: by what the kernel translated, and by
    the rules (`traced`: what they do to it, and whether the address is in there; None: nobody can read them).
    """
    found = [
        entry
        for row in rows
        if row["who"]
        and (entry := entry_of(known[row["node"]], row["own"], dialled(row))) is not None
    ]
    via = [entry for entry in found if service in {ip_of(entry.dst), ip_of(entry.reply_src)}]
    way, by_rules = traced or ("", False)
    tried = len(found) + (traced is not None)
    example = _first(f"{one.dst} became {one.reply_src}" for one in found if one not in via)
    exception = f"{example}, without {service} in between; its rules: {way or 'unknown'}"
    if not found:
        exception = "no kernel knew of a connection"
    return saw(tried, len(via) + by_rules, exception)


def _traced(stage: Stage, service: str) -> tuple[str, bool] | None:
    """What the first node's rules, as they are, do to a packet from outside to a node port."""
    if stage.mode == "external":
        return None
    node, ip = next(iter(stage.nodes.items()))
    reader = tracer(stage.mode, stage.lab.rules(node), [ip])
    packet = Packet("tcp", FROM_OUTSIDE, ip, node_port(stage, service))
    outcomes = [one for one in reader.from_wire(packet) if one.verdict == "accepted"]
    if not outcomes:
        return "nothing accepts it", False
    best = max(outcomes, key=lambda one: one.probability)
    way = (*_hops(best.rules), best.destination)
    return " → ".join(way), stage.address(service) in " ".join(way)


def _hops(rules: Sequence[str]) -> list[str]:
    """The chains, maps and translations among rules, in their order."""
    matches = ((_TARGET if " -j " in rule else _IN_NFT).search(rule) for rule in rules)
    return list(dict.fromkeys(match[1] for match in matches if match))


def _pending(stage: Stage, rows: Rows) -> Observation:
    """Whether the balanced service has no outside address, and its node port answers on every node."""
    service = stage.service("balanced")
    wrong = [f"it was given {one}" for one in service["loadBalancer"]]
    wrong += [f"{row['host']}:{row['port']}: {row['error']}" for row in rows if not row["who"]]
    return saw(1 + len(rows), 1 + len(rows) - len(wrong), *wrong[:1])


def _first(texts: Any) -> str:
    return str(next(iter(texts), ""))


SCENE = still(observe)
CLAIMS = (
    Claim(
        "node-port-everywhere",
        "A node port answers on every node.",
        "documentation",
        "every attempt from outside at every node's address is answered",
        SCENE,
        always,
    ),
    Claim(
        "node-port-directly",
        "A node port leads directly to the pod.",
        "tutorial",
        "the pod that answers is on the node that was dialled and sees the client's address",
        SCENE,
        always,
    ),
    Claim(
        "node-port-by-cluster-address",
        "A node port forwards using the ClusterIP.",
        "tutorial",
        "packets to the node port are addressed to the cluster address on their way",
        SCENE,
        always,
    ),
    Claim(
        "load-balancer-pending",
        "Without a provider a LoadBalancer's address stays pending, and its node port works.",
        "answer",
        "the service has no outside address, and its node port answers on every node",
        SCENE,
        always,
    ),
)
