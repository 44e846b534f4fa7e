"""How soon fake nodes and pods are ready: kwok's own gate is 20 s, past the API server."""

from __future__ import annotations

from collections.abc import Iterator

from bench.api_lab import api_lab
from bench.measure import Comparison, Goal, Side

NODES, PODS = 100, 10_000
_LIMIT_S = 20.0


def ready(repeats: int) -> Iterator[Comparison]:
    """`testbed up` of a lab of them, until it returns."""
    taken_s = []
    for _ in range(repeats):
        with api_lab(NODES, {"crowd": {"fake": True, "replicas": PODS}}, {}) as lab:
            taken_s.append(lab.up_s)
    yield Comparison(
        f"{NODES} fake nodes and {PODS:,} fake pods ready",
        "s",
        Side("testbed up", "objects", tuple(taken_s)),
        None,
        Goal(_LIMIT_S, at_most=True),
        note="One live node among them; the start of Python is included.",
    )
