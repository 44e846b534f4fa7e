"""A thousand pods on ten nodes: wiring beside raw netlink, `up` and `down` beside Mininet."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench import dismantle
from bench.measure import Comparison, Goal, Side, in_turns
from bench.sandbox import PYTHON, ROOT, TESTBED, output
from testbed.lab.leftovers import marked

NODES, PODS_PER_NODE = 10, 100
_LAB = "bench-scale"
_TOPOLOGY = str(ROOT / "topologies/scale-1000.yaml")
_SHAPE = (str(NODES), str(PODS_PER_NODE))


def wiring(repeats: int) -> Iterator[Comparison]:
    """Namespaces, links, addresses, routes and neighbours of all pods; no processes."""
    ours, raw = in_turns(
        lambda: _seconds("bench.our_wiring"), lambda: _seconds("bench.raw_netlink"), repeats
    )
    yield Comparison(
        f"wiring {NODES} x {PODS_PER_NODE} pods",
        "s",
        Side("testbed", "1 process in all, 1 namespace per pod", ours),
        Side("raw netlink loop", "1 process in all, 1 namespace per pod", raw),
        Goal(1.5, at_most=True),
    )


def _seconds(module: str) -> float:
    dismantle.wait()
    return float(output([PYTHON, "-m", module, *_SHAPE]))


@dataclass(frozen=True, slots=True)
class Life:
    """From nothing to every pod up, and back to nothing."""

    up_s: float
    ended_s: float
    """Until no process is left."""
    down_s: float
    """Until the kernel has also taken every namespace apart, and with it every pod address."""
    processes_per_pod: float


def lives(repeats: int) -> Iterator[Comparison]:
    """`up` until every pod answers a packet, `down` until no process and no pod address is left."""
    variants = {"shared server": "shared", "a process per pod": "process"}
    ours: dict[str, list[Life]] = {name: [] for name in variants}
    theirs: list[Life] = []
    for _ in range(repeats):
        theirs.append(_mininet())
        for name, server in variants.items():
            ours[name].append(_testbed(server))
    for (name, lived), goal in zip(ours.items(), (6, 3), strict=True):
        yield _compare(f"up, {name}", "up_s", lived, theirs, Goal(goal, at_most=False))
    for name, lived in ours.items():
        what = f"down, {name}, until no process"
        yield _compare(f"{what} is left", "ended_s", lived, theirs, None)
        yield _compare(
            f"{what} and no address is left", "down_s", lived, theirs, Goal(50, at_most=False)
        )


def _compare(
    what: str, field: str, ours: list[Life], theirs: list[Life], goal: Goal | None
) -> Comparison:
    def side(name: str, lives: list[Life]) -> Side:
        made_of = f"{lives[0].processes_per_pod:.3g} processes and 1 namespace per pod"
        return Side(name, made_of, tuple(getattr(life, field) for life in lives))

    return Comparison(
        f"{NODES} x {PODS_PER_NODE} pods {what}",
        "s",
        side("testbed (its command, start of Python included)", ours),
        side("Mininet (its Python API, in a user namespace)", theirs),
        goal,
        "peer / ours",
    )


def _mininet() -> Life:
    dismantle.wait()
    argv = ["/usr/bin/python3", str(ROOT / "bench/mininet_peer.py"), *_SHAPE]
    figures = json.loads(output(argv, own_user=True))
    # It deletes every link itself before it returns.
    down_s = figures["down_s"]
    return Life(figures["up_s"], down_s, down_s, figures["processes_per_host"])


def _testbed(server: str) -> Life:
    dismantle.wait()
    start = time.monotonic()
    try:
        _run("up", _TOPOLOGY, "--name", _LAB, "--set", f"workloads.web.server={server}")
        up_s = time.monotonic() - start
        processes = sum(process.lab == _LAB for process in marked())
    finally:
        start = time.monotonic()
        _run("down", _LAB)
    while any(process.lab == _LAB for process in marked()):
        os.sched_yield()
    ended_s = time.monotonic() - start
    dismantle.wait()
    down_s = time.monotonic() - start
    return Life(up_s, ended_s, down_s, processes / (NODES * PODS_PER_NODE))


def _run(*arguments: str) -> None:
    subprocess.run([TESTBED, *arguments], stdout=subprocess.DEVNULL, check=True)
