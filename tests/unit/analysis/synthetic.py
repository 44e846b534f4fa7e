"""Run directories whose truth is known, for tests of analysis and report.

`balance_run` draws picks from given weights; `failover_run` places every phase at a given time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
NODES = ("n1", "n2", "n3")


def write_run(
    directory: Path,
    meta: dict[str, Any],
    trials: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    ledger: pd.DataFrame | None = None,
    events: Sequence[dict[str, Any]] = (),
) -> Path:
    """A run directory as `testbed run` leaves it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.json").write_text(json.dumps(meta), encoding="utf-8")
    trials.to_csv(directory / "trials.csv", index=False)
    samples.to_parquet(directory / "samples.parquet")
    if ledger is not None:
        ledger.to_csv(directory / "ledger.csv", index=False)
    lines = "".join(json.dumps(event) + "\n" for event in events)
    (directory / "events.jsonl").write_text(lines, encoding="utf-8")
    return directory


def meta_of(experiment: str, factors: dict[str, list[Any]], **more: Any) -> dict[str, Any]:
    return {
        "format": 1,
        "experiment": experiment,
        "run": "20261121T030000Z-7",
        "seed": 7,
        "profile": "default",
        "command": f"testbed run {experiment} --seed 7",
        "factors": factors,
        "mode": "iptables-nft",
        "timing": {},
        "environment": {
            "kernel": {"release": "6.18.0"},
            "cpu": {"model": "synthetic", "online": 2},
        },
        "status": "complete",
    } | more


def picks_of(
    rng: np.random.Generator, n: int, weights: Sequence[float], in_turn: bool
) -> NDArray[np.int64]:
    """Indices of backends: independent draws by weight, or one after the other from a random
    one.
    """
    if in_turn:
        return (np.arange(n, dtype=np.int64) + rng.integers(len(weights))) % len(weights)
    shares = np.asarray(weights) / np.sum(weights)
    return rng.choice(len(weights), size=n, p=shares).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Balancer:
    """What the simulated service does; `weights` one a backend."""

    weights: tuple[float, ...] = (1, 1, 1)
    in_turn: bool = False
    connections: int = 600
    """Per client node and trial."""
    reuse: tuple[int, ...] = (1,)
    clients: tuple[str, ...] = ("n1", "n2")
    weight_noise: float = 0.0
    """Standard deviation of the log of each trial's own weights: clustered trials."""


def balance_run(
    directory: Path, balancer: Balancer, *, blocks: int = 5, seed: int = 1, **meta: Any
) -> Path:
    """Trials of one service with a factor `reuse`; every backend is in the ledger."""
    rng = np.random.default_rng(seed)
    trials, samples, ledger = [], [], []
    for block in range(blocks):
        for reuse in balancer.reuse:
            trial = f"{block}-{reuse}"
            trials.append(
                {"trial": trial, "block": block, "replicas": len(balancer.weights),
                 "reuse": reuse, "valid": True, "invalid_reason": ""}
            )  # fmt: skip
            weights = np.asarray(balancer.weights) * np.exp(
                rng.normal(0, balancer.weight_noise, len(balancer.weights))
            )
            for node in balancer.clients:
                drawn = picks_of(rng, balancer.connections, list(weights), balancer.in_turn)
                samples.append(_connections(trial, node, drawn, reuse))
                ledger += _ledger(trial, node, drawn, len(weights))
    replicas = len(balancer.weights)
    factors = {"replicas": [replicas], "reuse": list(balancer.reuse)}
    return write_run(
        directory,
        meta_of("balance", factors, **meta),
        pd.DataFrame(trials),
        pd.concat(samples, ignore_index=True),
        ledger=pd.DataFrame(ledger),
    )


def _connections(trial: str, node: str, drawn: NDArray[np.int64], reuse: int) -> pd.DataFrame:
    requests = np.repeat(np.arange(drawn.size), reuse)
    start = np.arange(requests.size) * 1.0 * MS_NS + SECOND_NS
    backend = [f"web-{index}" for index in drawn[requests]]
    return _samples(
        trial=trial, stream="main", node=node, scheduled_ns=start, latency_ns=MS_NS,
        connection=requests, backend=backend, outcome=["ok"] * requests.size,
    )  # fmt: skip


def _samples(
    *, trial: str, stream: str, node: str, scheduled_ns: Any, latency_ns: Any,
    connection: Any, backend: list[str], outcome: list[str],
) -> pd.DataFrame:  # fmt: skip
    ok = np.array([value == "ok" for value in outcome])
    start = np.asarray(scheduled_ns, dtype=float)
    return pd.DataFrame(
        {
            "trial": trial,
            "stream": stream,
            "protocol": "http",
            "scheduled_ns": start,
            "start_ns": start + 20_000,
            "resolved_ns": start + 30_000,
            "connected_ns": start + 200_000,
            "first_byte_ns": np.where(ok, start + latency_ns, np.nan),
            "end_ns": start + latency_ns,
            "client": f"default/client-{node}",
            "client_node": node,
            "src_ip": "10.244.9.9",
            "src_port": 40_000,
            "target": "http://web/hostname",
            "picked_backend": backend,
            "backend": [b if good else None for b, good in zip(backend, ok, strict=True)],
            "connection": connection,
            "outcome": outcome,
            "status": np.where(ok, 200.0, np.nan),
            "bytes": 100,
        }
    ).convert_dtypes()


def _ledger(trial: str, node: str, drawn: NDArray[np.int64], backends: int) -> list[dict[str, Any]]:
    counts = np.bincount(drawn, minlength=backends)
    return [
        {"trial": trial, "client_node": node, "backend": f"web-{index}", "kernel": int(count),
         "accepted": int(count), "backlog": 0, "refused": 0, "unanswered": 0, "censored": 0}
        for index, count in enumerate(counts)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Story:
    """One failover in milliseconds after the fault; None: it never came to that."""

    fault: str = "crash"
    detect_ms: float | None = 700.0
    withdraw_ms: float | None = 703.0
    program_ms: dict[str, tuple[float, float] | None] = field(
        default_factory=lambda: {"n1": (705.0, 721.0), "n2": (706.0, 730.0), "n3": (710.0, 745.0)}
    )
    back_ms: float | None = None
    """When a pod of the same name is an endpoint again."""
    outcome: str = "refused"
    watched_ms: float = 8_000.0
    clients: tuple[str, ...] = ("n1", "n2")


T0_NS = 100 * SECOND_NS
POD, POD_UID = "default/web-0", "uid-0"


def events_of(trial: str, story: Story) -> list[dict[str, Any]]:
    """The event log of one such failover; the withdrawing write has resourceVersion 52."""
    rows: list[dict[str, Any]] = []

    def add(at_ms: float, source: str, kind: str, *, node: str = "", thing: str = "",
            version: int = 0, **detail: Any) -> None:  # fmt: skip
        rows.append(
            {"trial": trial, "t_ns": T0_NS + int(at_ms * MS_NS), "source": source, "node": node,
             "kind": kind, "object": thing, "resource_version": version, "detail": detail}
        )  # fmt: skip

    def sync(node: str, begin_ms: float, end_ms: float, version: int, **detail: Any) -> None:
        add(end_ms, "proxy", "sync", node=node, version=version, full=False,
            **{"error": "", "ip_family": "IPv4", **detail},
            start_ns=T0_NS + int(begin_ms * MS_NS), end_ns=T0_NS + int(end_ms * MS_NS))  # fmt: skip

    who = {"pod": "web-0", "pod_ip": "10.244.1.2", "uid": POD_UID}
    add(-2_000, "lab", "trial-start")
    for node in NODES:
        sync(node, -3_000, -2_990, 40)
    add(0, "fault", story.fault, node="n1", thing=POD, **who, level="SIGKILL")
    if story.detect_ms is not None:
        add(story.detect_ms, "store", "pod-not-ready", node="n1", thing=POD, version=50, **who)
    if story.withdraw_ms is not None:
        add(story.withdraw_ms, "store", "endpoint-not-ready", node="n1", thing="default/web",
            version=52, **who)  # fmt: skip
        # A sync of an older state right after it must not count, nor one that failed.
        sync("n1", story.withdraw_ms - 5, story.withdraw_ms + 0.5, 49)
        sync("n2", story.withdraw_ms + 0.1, story.withdraw_ms + 0.9, 52, error="no such chain")
        # Nor one of the other IP family's proxy: the pod that is gone had an IPv4 address.
        sync("n3", story.withdraw_ms + 0.1, story.withdraw_ms + 0.8, 52, ip_family="IPv6")
    for node, span in story.program_ms.items():
        if span is not None:
            sync(node, *span, 53)
    if story.back_ms is not None:
        back = who | {"uid": "uid-0-again"}
        add(story.back_ms, "store", "endpoint-ready", node="n1", thing="default/web",
            version=70, **back)  # fmt: skip
    add(story.watched_ms, "lab", "trial-end")
    return rows


def samples_of(trial: str, story: Story, seed: int = 1) -> pd.DataFrame:
    """Every client node opens a connection each 10 ms and keeps another; picks rotate over three.

    New connections to web-0 fail from the fault until the node's rules are in force; kept requests
    to it fail once, at their first after the fault.
    """
    rng = np.random.default_rng([seed, sum(map(ord, trial))])
    parts = []
    for node in story.clients:
        at_ms = np.arange(-2_000.0, story.watched_ms, 10.0) + 1.0
        span = story.program_ms.get(node)
        gone = span[1] if span is not None else np.inf
        back = story.back_ms if story.back_ms is not None else np.inf
        out = (at_ms >= gone) & (at_ms < back)
        pick = np.where(out, 1 + np.arange(at_ms.size) % 2, np.arange(at_ms.size) % 3)
        dead = (at_ms >= 0) & (at_ms < back) & (pick == 0)
        latency = np.where(
            dead & (story.outcome == "timeout"), 500.0, rng.gamma(4, 0.1, at_ms.size)
        )
        parts.append(
            _samples(
                trial=trial, stream="outage", node=node, scheduled_ns=T0_NS + at_ms * MS_NS,
                latency_ns=latency * MS_NS, connection=np.arange(at_ms.size),
                backend=[f"web-{index}" for index in pick],
                outcome=[story.outcome if bad else "ok" for bad in dead],
            )
        )  # fmt: skip
        kept_ms = np.arange(-2_000.0, story.watched_ms, 50.0) + 3.0
        broken = (kept_ms >= 0) & (kept_ms < 50)
        parts.append(
            _samples(
                trial=trial, stream="kept", node=node, scheduled_ns=T0_NS + kept_ms * MS_NS,
                latency_ns=MS_NS, connection=np.where(kept_ms < 50, 10_000, 10_001),
                backend=["web-0" if early else "web-1" for early in kept_ms < 50],
                outcome=["reset" if bad else "ok" for bad in broken],
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def failover_run(directory: Path, stories: dict[str, Sequence[Story]], **meta: Any) -> Path:
    """`stories`: for each fault, its trials."""
    trials, samples, events = [], [], []
    for fault, several in stories.items():
        for block, story in enumerate(several):
            trial = f"{block}-{fault}"
            trials.append(
                {"trial": trial, "block": block, "fault": fault, "replicas": 3,
                 "probe_period_s": 1.0, "valid": True, "invalid_reason": ""}
            )  # fmt: skip
            events += events_of(trial, story)
            samples.append(samples_of(trial, story))
    factors = {"fault": list(stories), "replicas": [3], "probe_period_s": [1.0]}
    return write_run(
        directory,
        meta_of("failover", factors, **meta),
        pd.DataFrame(trials),
        pd.concat(samples, ignore_index=True),
        events=events,
    )
