"""How soon every node of a full BGP mesh has a route to every other one's pods."""

from __future__ import annotations

from collections.abc import Iterator

from bench.measure import Comparison, Goal, Side
from testbed.analysis.intervals import over_trials
from testbed.lab.client import Lab
from testbed.model.topology import Topology

NODES = 50
_LIMIT_S = 10.0
_PATIENCE_S = 120.0


def convergence(repeats: int) -> Iterator[Comparison]:
    """Seconds from `up` until the last of all routes is in its node's kernel."""
    taken_s = tuple(_seconds() for _ in range(repeats))
    found = over_trials(list(taken_s), scale="log")
    said = f"n = {found.n}"
    if found.low is not None and found.high is not None:
        said += f", geometric mean {found.estimate:.2f} s, 95 % interval {found.low:.2f} to {found.high:.2f} s"
    yield Comparison(
        f"BGP of {NODES} nodes has converged",
        "s",
        Side(
            "BIRD, full mesh", f"{NODES} processes, {NODES * (NODES - 1) // 2:,} sessions", taken_s
        ),
        None,
        Goal(_LIMIT_S, at_most=True),
        note=f"From `up` to the last of {NODES * (NODES - 1):,} routes, as the nodes' kernels tell; {said}.",
    )


def _seconds() -> float:
    topology = Topology.model_validate(
        {
            "name": "bench-bgp",
            "network": {"cni": "bgp"},
            "nodes": {f"n{number}": {} for number in range(NODES)},
            "dns": {"replicas": 0},
        }
    )
    with Lab.up(topology, name="bench-bgp", ephemeral=True, timeout_s=_PATIENCE_S) as lab:
        events = lab.events()
    began_ns = next(event.t_ns for event in events if event.kind == "up")
    learned = [event.t_ns for event in events if event.kind == "route-learned"]
    assert len(learned) == NODES * (NODES - 1), f"{len(learned)} routes"
    return (max(learned) - began_ns) / 1e9
