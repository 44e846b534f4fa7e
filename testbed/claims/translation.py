"""Where one address becomes another, who does it, and which way the reply goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from testbed.claims.addresses import PORT
from testbed.claims.claim import Claim, Observation, still
from testbed.claims.edges import node_port
from testbed.claims.entries import Entry, dialled, entry_of, knowing, tables
from testbed.claims.judging import always, saw
from testbed.claims.stage import OUTSIDE, POD_PORT, Stage

ATTEMPTS = 8
"""Dials from each node: enough that some of them find a backend on another node."""

Rows = Sequence[Mapping[str, Any]]
Tables = Mapping[str, Sequence[Entry]]


def observe(stage: Stage) -> Mapping[str, Observation]:
    """The cluster address dialled from pods, node ports from outside; then what the nodes' kernels know."""
    to_service = [{"host": stage.address("web"), "port": PORT}] * ATTEMPTS
    at_ports = [
        {"host": ip, "port": node_port(stage, "web"), "node": node}
        for node, ip in stage.nodes.items()
    ]
    jobs: dict[str, Mapping[str, Rows]] = {OUTSIDE: {"dial": at_ports}}
    jobs |= {stage.asker(node): {"dial": to_service} for node in stage.nodes}
    answers = {place: found["dial"] for place, found in stage.ask_all(jobs).items()}
    called = {node: answers[stage.asker(node)] for node in stage.nodes}
    known = tables(stage)
    return {
        "reply-same-way": _same_way(answers[OUTSIDE], called, known),
        "address-changes-at-client-node": _changed(stage, called, known),
        "each-node-chooses": _chooser(stage, called, known),
    }


def _same_way(entered: Rows, called: Mapping[str, Rows], known: Tables) -> Observation:
    """Whether the node that a request came by saw its answer, and the client got it from whom it dialled."""
    rows = [(row["node"], row) for row in entered if row["who"]]
    rows += [(node, row) for node, several in called.items() for row in several if row["who"]]
    wrong = []
    for node, row in rows:
        entry = entry_of(known[node], row["own"], dialled(row))
        if entry is None or not entry.replied:
            wrong.append(f"{node} saw no answer to {row['own']} from {row['peer']}")
        elif row["peer"] != dialled(row):
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
            here = entry_of(known[node], row["own"], dialled(row))
            there = entry_of(known[backend.node], row["seen"], f"{backend.ip}:{POD_PORT}")
            at_socket = row["peer"] == dialled(row)
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
            entry = entry_of(known[node], row["own"], dialled(row))
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


SCENE = still(observe)
CLAIMS = (
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
