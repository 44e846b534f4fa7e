"""Throughput between two pods on two nodes, per pod network, as a share of two plain namespaces'."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from bench.measure import Comparison, Goal, Side
from testbed.analysis.intervals import over_trials
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from testbed.traffic.paths import PLAIN

_NETWORKS = ("host-gw", "bgp", "vxlan", "weave")
_GOALS = {"host-gw": 0.9}
_ROUNDS = 4
"""Of each repeat: both ways once in each, one after the other."""
_STREAM_S, _WARM_S = 0.4, 0.1
_PORT = 5001
_TUNNELS = ("vxlan", "weave")
_WHY = (
    "Pods' links pass packets of 192 KB whole (BIG TCP), plain ones 64 KB, Linux' default.",
    "Packets of 64 KB on both sides: a tunnel takes no larger ones.",
)


def ratios(repeats: int) -> Iterator[Comparison]:
    """A row per pod network: Gbit/s of one TCP stream between pods, and between plain namespaces in turn."""
    for network in _NETWORKS:
        rounds = _rounds(network, repeats * _ROUNDS)
        pods, plain = (tuple(one[way] for one in rounds) for way in ("far", PLAIN))
        shares = over_trials([one["far"] / one[PLAIN] for one in rounds], scale="log")
        said = f"In the same round {shares.estimate:.3f} times as much"
        if shares.low is not None and shares.high is not None:
            said += f", 95 % interval {shares.low:.3f} to {shares.high:.3f}"
        yield Comparison(
            f"throughput between nodes, {network}",
            "Gbit/s",
            Side("pods on two nodes", "1 stream", pods),
            Side("plain namespaces", "1 stream over one veth pair", plain),
            Goal(_GOALS[network], at_most=False) if network in _GOALS else None,
            note=f"{said}; n = {shares.n} rounds. {_WHY[network in _TUNNELS]}",
        )


def _rounds(network: str, rounds: int) -> list[dict[str, float]]:
    """Gbit/s by way, of each round."""
    with Lab.up(_topology(network), name="bench-podnets", ephemeral=True) as lab:
        address = next(pod["ip"] for pod in lab.inspect()["pods"] if pod["name"] == "far-0")
        rows: list[dict[str, Any]] = lab.paths(
            "client-0",
            {"far": {"dial": [address, _PORT], "serve": "far-0", "port": _PORT}},
            rounds=rounds,
            connections=1,
            packets=1,
            stream_s=_STREAM_S,
            warm_s=_WARM_S,
            seed=1,
        )
    rows.sort(key=lambda row: int(row["round"]))
    return [
        {row["path"]: row["bytes"] * 8 / row["elapsed_ns"] for row in both}
        for _, both in groupby(rows, key=lambda row: int(row["round"]))
    ]


def _topology(network: str) -> Topology:
    return Topology.model_validate(
        {
            "name": "bench-podnets",
            "network": {"cni": network},
            "nodes": {"n1": {}, "n2": {}},
            "dns": {"replicas": 0},
            "workloads": {"client": {"node": "n1"}, "far": {"node": "n2"}},
        }
    )
