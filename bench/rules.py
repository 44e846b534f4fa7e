"""Full rule syncs beside the raw restore of the same text, and one changed endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench import dismantle
from bench.measure import Comparison, Goal, Side
from bench.sandbox import PYTHON, output

_SIZES = (1000, 5000)
_LIMITS = {"nft": 1.5, "legacy": 3.0}
_ONE_ENDPOINT_S = 0.050
_NODE = "1 proxy loop, 1 node's namespace, no pods"


def syncs(repeats: int) -> Iterator[Comparison]:
    """From one store transaction to rules in force, on an empty node."""
    for variant, limit in _LIMITS.items():
        for services in _SIZES:
            runs = [_run(variant, services) for _ in range(repeats)]
            yield Comparison(
                f"full sync, {services:,} services x 3 endpoints, {variant}",
                "s",
                Side("testbed", _NODE, tuple(run["full_s"] for run in runs)),
                Side(
                    f"iptables-{variant}-restore",
                    "1 process, 1 namespace, no pods",
                    tuple(run["raw_s"] for run in runs),
                ),
                Goal(limit, at_most=True),
            )
        yield Comparison(
            f"one changed endpoint of {services:,} services, {variant}",
            "s",
            Side("testbed", _NODE, tuple(run["one_s"] for run in runs)),
            None,
            # legacy rewrites the whole table, whoever asks: no goal
            Goal(_ONE_ENDPOINT_S, at_most=True) if variant == "nft" else None,
        )


def _run(variant: str, services: int) -> dict[str, float]:
    dismantle.wait()
    answer: dict[str, float] = json.loads(
        output([PYTHON, "-m", "bench.our_sync", variant, str(services)])
    )
    return answer
