"""The edge of the cluster, and where an address becomes another one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from testbed.claims.addresses import PORT
from testbed.claims.claim import Claim, Observation, still
from testbed.claims.entries import Entry, entry_of, knowing, tables
from testbed.claims.judging import always, saw
from testbed.claims.rules_read import tracer
from testbed.claims.stage import OUTSIDE, POD_PORT, Stage
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
    """Node ports dialled from outside, the cluster address from pods; then what the kernels know of it."""
    port = _node_port(stage, "web")
    at_ports = [
        {"host": ip, "port": port, "node": node}
        for node, ip in stage.nodes.items()
        for _ in range(ATTEMPTS)
    ]
    balanced = [{"host": ip, "port": _node_port(stage, "balanced")} for ip in stage.nodes.values()]
    to_service = [{"host": stage.address("web"), "port": PORT} for _ in range(ATTEMPTS)]
    jobs: dict[str, Mapping[str, Rows]] = {OUTSIDE: {"dial": [*at_ports, *balanced]}}
    jobs |= {stage.asker(node): {"dial": to_service} for node in stage.nodes}
    answers = {place: found["dial"] for place, found in stage.ask_all(jobs).items()}
    known = tables(stage)
    entered = answers[OUTSIDE][: len(at_ports)]
    called = {node: answers[stage.asker(node)] for node in stage.nodes}
    return {
        "node-port-everywhere": _everywhere(entered),
        "node-port-directly": _directly(stage, entered),
        "node-port-by-cluster-address": by_cluster_address(
            entered, known, stage.address("web"), _traced(stage, "web")
        ),
        "load-balancer-pending": _pending(stage, answers[OUTSIDE][len(at_ports) :]),
        "reply-same-way": _same_way(entered, called, known),
        "address-changes-at-client-node": _changed(stage, called, known),
        "each-node-chooses": _chooser(stage, called, known),
    }


def _node_port(stage: Stage, service: str) -> int:
    return int(stage.service(service)["ports"][0]["nodePort"])


def _everywhere(rows: Rows) -> Observation:
    wrong = [f"{row['host']}:{row['port']}: {row['error']}" for row in rows if not row["who"]]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _directly(stage: Stage, rows: Rows) -> Observation:
    """Whether the pod is on the node that was dialled, and sees who dialled."""
    answered = [row for row in rows if row["who"]]
    hop = [row for row in answered if stage.pods[row["who"]].node != row["node"]]
    rewritten = [row for row in answered if _ip(row["seen"]) != _ip(row["own"])]
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
        and (entry := entry_of(known[row["node"]], row["own"], _dialled(row))) is not None
    ]
    via = [entry for entry in found if service in {_ip(entry.dst), _ip(entry.reply_src)}]
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
    packet = Packet("tcp", FROM_OUTSIDE, ip, _node_port(stage, service))
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


def _same_way(entered: Rows, called: Mapping[str, Rows], known: Tables) -> Observation:
    """Whether the node that a request came by saw its answer, and the client got it from whom it dialled."""
    rows = [(row["node"], row) for row in entered if row["who"]]
    rows += [(node, row) for node, several in called.items() for row in several if row["who"]]
    wrong = []
    for node, row in rows:
        entry = entry_of(known[node], row["own"], _dialled(row))
        if entry is None or not entry.replied:
            wrong.append(f"{node} saw no answer to {row['own']} from {row['peer']}")
        elif row["peer"] != _dialled(row):
            wrong.append(f"{row['own']} dialled {row['host']} and was answered by {row['peer']}")
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _changed(stage: Stage, called: Mapping[str, Rows], known: Tables) -> Observation:
    """For requests to a backend on another node: the address at the socket, and on both nodes."""
    tried = agreed = 0
    remark = exception = ""
    for node, rows in called.items():
        for row in rows:
            backend = stage.pods.get(row["who"])
            if backend is None or backend.node == node:
                continue
            tried += 1
            here = entry_of(known[node], row["own"], _dialled(row))
            there = entry_of(known[backend.node], row["seen"], f"{backend.ip}:{POD_PORT}")
            at_socket = row["peer"] == _dialled(row)
            at_client = here is not None and here.translated
            at_backend = there is not None and there.translated
            said = (
                f"Socket: {row['peer']}; on {node}: {_shown(here)}; on {backend.node}: "
                f"{_shown(there)}; {row['who']} sees {row['seen']}"
            )
            remark = remark or f"{said}."
            if at_socket and at_client and there is not None and not at_backend:
                agreed += 1
            else:
                exception = exception or said
    return saw(tried, agreed, exception, remark=remark)


def _chooser(stage: Stage, called: Mapping[str, Rows], known: Tables) -> Observation:
    """Whether the client's own node, and no other, knows each connection by the cluster address."""
    address = f"{stage.address('web')}:{PORT}"
    tried = agreed = 0
    exception = ""
    for node, rows in called.items():
        for row in rows:
            if not row["who"]:
                continue
            tried += 1
            others = {name: known[name] for name in known if name != node}
            entry = entry_of(known[node], row["own"], _dialled(row))
            elsewhere = [
                name for name, table in others.items() if entry_of(table, row["own"], address)
            ]
            if entry is not None and entry.translated and not elsewhere:
                agreed += 1
            else:
                where = ", ".join(elsewhere) or "no node"
                exception = exception or f"a connection of {node} was translated by {where}"
    return saw(tried, agreed, exception, remark=_who_knows(known, address))


def _who_knows(known: Tables, address: str) -> str:
    counts = knowing(known, address)
    return (
        f"Connections to {address} known: "
        + ", ".join(f"{node} {number}" for node, number in counts.items())
        + "."
    )


def _shown(entry: Entry | None) -> str:
    if entry is None:
        return "not known"
    if not entry.translated:
        return f"{entry.dst}, unchanged"
    return f"{entry.dst} becomes {entry.reply_src}"


def _dialled(row: Mapping[str, Any]) -> str:
    return f"{row['host']}:{row['port']}"


def _ip(end: str) -> str:
    return end.rpartition(":")[0]


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
    Claim(
        "reply-same-way",
        "The reply goes back the way the request came.",
        "answer",
        "the node that translated a request sees its reply; the client gets it from whom it dialled",
        SCENE,
        always,
    ),
    Claim(
        "address-changes-at-client-node",
        "The service's address becomes a pod's on the client's node.",
        "documentation",
        "the socket still has the service's address, the client's node changes it, the backend's does not",
        SCENE,
        always,
    ),
    Claim(
        "each-node-chooses",
        "Each node chooses by itself: the client's node picks the backend.",
        "documentation",
        "of every connection the client's node, and no other, knows the cluster address",
        SCENE,
        always,
    ),
)
