"""Pods and their addresses: who reaches whom, and whom the other one sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from testbed.claims.claim import Claim, Observation, still
from testbed.claims.judging import always, saw
from testbed.claims.stage import POD_PORT, Stage
from testbed.traffic.reachability import Reach

PORT = 80
"""Of every service of the claims' topology."""


def observe(stage: Stage) -> Mapping[str, Observation]:
    """From a pod on each node: every pod by its own address, and every service by its cluster address."""
    servers = [pod for pod in stage.pods.values() if "/" not in pod.name]
    direct = [{"host": pod.ip, "port": POD_PORT, "expect": pod.name} for pod in servers]
    by_address = [
        {"host": stage.address(name), "port": PORT, "service": name} for name in ("web", "crowd")
    ]
    lone = [{"host": stage.address("lone"), "port": PORT, "service": "lone"}]
    home = stage.backends("lone")[0].node
    jobs: dict[str, Mapping[str, Any]] = {
        stage.asker(node): {"dial": [*direct, *by_address, *lone]} for node in stage.nodes
    }
    jobs |= {node: {"dial": lone} for node in stage.nodes}
    answers = {place: found["dial"] for place, found in stage.ask_all(jobs).items()}
    own = {stage.asker(node): stage.pods[stage.asker(node)].ip for node in stage.nodes}
    asked = {place: rows for place, rows in answers.items() if place in own}
    elsewhere = {
        place: [row for row in rows if row.get("service") == "lone"]
        for place, rows in answers.items()
        if place not in (home, stage.asker(home))
    }
    askers = [stage.asker(node) for node in stage.nodes]
    matrix = stage.lab.reachability([*askers, *stage.nodes], [pod.name for pod in servers])
    return {
        "full-size-packets": _whole(one for one in matrix if one.source in askers),
        "node-reaches-its-pods": _at_home(
            one for one in matrix if one.source == stage.pods[one.target].node
        ),
        "flat-network": _reached(asked, "expect"),
        "source-unchanged": _unchanged(asked, own),
        "pods-by-cluster-address": _answered(asked),
        "node-without-backend": _answered(elsewhere),
    }


def _reached(asked: Mapping[str, Iterable[Mapping[str, Any]]], key: str) -> Observation:
    """Whether each row was answered by the one that was meant."""
    rows = [(place, row) for place, several in asked.items() for row in several if key in row]
    wrong = [
        f"{place} dialled {row[key]} at {row['host']} and got {row['who'] or row['error']}"
        for place, row in rows
        if row["who"] != row[key]
    ]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _unchanged(
    asked: Mapping[str, Iterable[Mapping[str, Any]]], own: Mapping[str, str]
) -> Observation:
    """Whether the dialled pod saw the asking pod's own address."""
    rows = [
        (place, row)
        for place, several in asked.items()
        for row in several
        if "expect" in row and row["who"]
    ]
    wrong = [
        f"{row['who']} saw {row['seen']} where {place} has {own[place]}"
        for place, row in rows
        if row["seen"].rpartition(":")[0] != own[place]
    ]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


def _whole(rows: Iterable[Reach]) -> Observation:
    """Whether packets came in one piece both ways, as large as any came between two pods."""
    tried = list(rows)
    largest = max((max(one.there_bytes, one.back_bytes) for one in tried), default=0)
    wrong = [
        f"of {largest} bytes, {one.there_bytes} came from {one.source} to {one.target}, "
        f"{one.back_bytes} back"
        for one in tried
        if {one.there_bytes, one.back_bytes} != {largest}
    ]
    remark = f"Packets have {largest} bytes."
    return saw(len(tried), len(tried) - len(wrong), *wrong[:1], remark=remark)


def _at_home(rows: Iterable[Reach]) -> Observation:
    """Whether every attempt reached."""
    tried = list(rows)
    wrong = [f"{one.source} to {one.target}: {one.outcome}" for one in tried if not one.reached]
    return saw(len(tried), len(tried) - len(wrong), *wrong[:1])


def _answered(asked: Mapping[str, Iterable[Mapping[str, Any]]]) -> Observation:
    """Whether anybody answered at the cluster addresses."""
    rows = [(place, row) for place, several in asked.items() for row in several if "service" in row]
    wrong = [
        f"{place} dialled {row['service']} at {row['host']}: {row['error']}"
        for place, row in rows
        if not row["who"]
    ]
    return saw(len(rows), len(rows) - len(wrong), *wrong[:1])


SCENE = still(observe)
CLAIMS = (
    Claim(
        "flat-network",
        "Every pod reaches every other pod by its own address, wherever both run.",
        "documentation",
        "every pod answers at its own address, from a pod on each node",
        SCENE,
        always,
    ),
    Claim(
        "source-unchanged",
        "A pod sees the address of the pod that calls it, unchanged.",
        "documentation",
        "every pod sees the caller's own address, from a pod on each node",
        SCENE,
        always,
    ),
    Claim(
        "full-size-packets",
        "Two pods exchange packets as large as their links say, wherever both run.",
        "answer",
        "unfragmented packets of one size come between all pods and from them, both ways, from each node",
        SCENE,
        always,
    ),
    Claim(
        "node-reaches-its-pods",
        "What runs on a node reaches all pods on that node.",
        "documentation",
        "every pod answers its own node",
        SCENE,
        always,
    ),
    Claim(
        "pods-by-cluster-address",
        "Pods talk to each other by the cluster address of a service.",
        "tutorial",
        "a pod on each node gets an answer at every cluster address it dials",
        SCENE,
        always,
    ),
    Claim(
        "node-without-backend",
        "A node without a backend still reaches the service.",
        "answer",
        "nodes without a backend, and pods on them, get an answer at the cluster address",
        SCENE,
        always,
    ),
)
