"""kube-proxy stopped: does what it has set up go on without it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.claims.addresses import PORT
from testbed.claims.claim import Claim, Observation, still
from testbed.claims.judging import mostly, saw
from testbed.claims.stage import Stage
from testbed.errors import TestbedError

LEAD_IN_S = 0.3
STOPPED_S = 0.6
LONGEST_S = 30.0
"""Of the traffic, however slow the machine is at stopping the proxy."""
TIMEOUT_S = 2.0


def observe(stage: Stage) -> Mapping[str, Observation]:
    """On one node the proxy stops: its loop, and its process where it is one (SIGSTOP). New and kept
    connections from a pod of that node, before and while it is stopped.
    """
    node = stage.chance.choice(sorted(stage.nodes))
    target = {"host": stage.address("web"), "port": PORT, "timeout_s": TIMEOUT_S}
    streams = [{**target, "kept": kept, "duration_s": LONGEST_S} for kept in (False, True)]
    watching = stage.begin(stage.asker(node), watch=streams)
    watching.await_start()
    stage.lab.pause(LEAD_IN_S)
    stopped_ns = stage.lab.fault("stall-proxy", node).t_ns
    try:
        if stage.mode.startswith("userspace"):
            stopped_ns = _signal(stage, node, "SIGSTOP")
        stage.lab.pause(STOPPED_S)
        watching.stop()
        new, kept = watching.answers()["watch"]
    finally:
        if stage.mode.startswith("userspace"):
            _signal(stage, node, "SIGCONT")
        stage.lab.heal(node)
    after = {
        what: [row for row in rows if row[0] >= stopped_ns or row[2]]
        for what, rows in (("new", new), ("kept", kept))
    }
    answered = {what: sum(1 for row in rows if not row[2]) for what, rows in after.items()}
    tried = sum(map(len, after.values()))
    said = ", ".join(
        f"{answered[what]} of {len(rows)} requests on {what} connections"
        for what, rows in after.items()
    )
    shares: dict[str, Any] = {
        f"{what}_answered_share": answered[what] / len(rows) if rows else None
        for what, rows in after.items()
    }
    exception = f"while it was stopped, {said} were answered"
    return {"proxy-not-in-path": saw(tried, sum(answered.values()), exception, **shares)}


def _signal(stage: Stage, node: str, name: str) -> int:
    """Signal the node's proxy process; returns when it was done. Raises TestbedError where there is none."""
    (reached,) = stage.ask(node, signal=[name])["signal"]
    if not reached:
        raise TestbedError(f"the proxy's process on {node} was not found")
    return stage.lab.now_ns()


SCENE = still(observe)
CLAIMS = (
    Claim(
        "proxy-not-in-path",
        "kube-proxy is not in the path: packets are forwarded without it.",
        "documentation",
        "while it is stopped on the client's node nine in ten requests are answered, new and kept connections",
        SCENE,
        mostly(0.9),
    ),
)
