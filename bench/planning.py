"""Planning for one node, and for fifty: table and rules of 10,000 services x 10 endpoints, nothing installed.

`python -m bench.planning MODE` prints the seconds of both as JSON.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator

from bench.measure import Comparison, Goal, Side
from bench.our_sync import BACKENDS, cluster
from bench.sandbox import PYTHON, output
from testbed import clock
from testbed.lab.planner import GC_THRESHOLDS, Planner
from testbed.proxy.table import ProxyConfig
from testbed.store import Create, Store

_SERVICES, _ENDPOINTS, _NODES = 10_000, 10, 50
_ONE_NODE_S, _ALL_NODES = 1.5, 3.0


def plans(repeats: int) -> Iterator[Comparison]:
    """A row per mode and number of nodes."""
    for mode in BACKENDS:
        runs = [_run(mode) for _ in range(repeats)]
        what = f"planning {_SERVICES:,} services x {_ENDPOINTS} endpoints, {mode}"
        one = Side("testbed", "1 node, nothing installed", tuple(run["one_s"] for run in runs))
        yield Comparison(f"{what}, 1 node", "s", one, None, Goal(_ONE_NODE_S, at_most=True))
        yield Comparison(
            f"{what}, {_NODES} nodes",
            "s",
            Side("testbed", f"{_NODES} nodes", tuple(run["all_s"] for run in runs)),
            one,
            Goal(_ALL_NODES, at_most=True),
        )


def _run(mode: str) -> dict[str, float]:
    answer: dict[str, float] = json.loads(output([PYTHON, "-m", "bench.planning", mode]))
    return answer


def measure(mode: str) -> dict[str, float]:
    """Seconds for the first node, and for it and all others."""
    store = Store(clock.now_s)
    store.apply([Create(item) for item in cluster(_SERVICES, _ENDPOINTS)])
    snapshot = store.snapshot()
    planner = Planner(BACKENDS[mode], ProxyConfig("10.244.0.0/16"))
    start = time.monotonic()
    planned = [planner.plan(snapshot, "n0", None)]
    one_s = time.monotonic() - start
    planned += [planner.plan(snapshot, f"n{node}", None) for node in range(1, _NODES)]
    return {"one_s": one_s, "all_s": time.monotonic() - start}


def main() -> None:
    (mode,) = sys.argv[1:]
    gc.set_threshold(*GC_THRESHOLDS)  # as in a lab
    print(json.dumps(measure(mode)))


if __name__ == "__main__":
    main()
