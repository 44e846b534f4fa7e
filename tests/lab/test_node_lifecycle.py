"""A node falls silent: its endpoints are withdrawn, its pods replaced elsewhere; then it boots again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

TOPOLOGY: dict[str, Any] = {
    "name": "node-lifecycle",
    "nodes": {"n1": {}, "n2": {}, "n3": {}},
    "dns": {"replicas": 0},
    "timing": {
        "nodeMonitorPeriod": "200ms",
        "nodeMonitorGracePeriod": "1s",
        "notReadyToleration": "1s",
    },
    "workloads": {"web": {"replicas": 3, "port": 8080}},
    "services": {"web": {"port": 80, "targetPort": 8080}},
}
PATIENCE_S = 60.0


def until(lab: Lab, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first view of the lab of which it holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds(view := lab.inspect()):
        assert time.monotonic() < deadline_s, f"never: {what}; last: {view}"
        time.sleep(0.1)
    return view


def node(view: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in view["nodes"] if row["name"] == name)


def offered_nodes(view: dict[str, Any]) -> list[str]:
    """Where the ready endpoints of `web` are."""
    (service,) = view["services"]
    return sorted(row["node"] for row in service["endpoints"] if row["ready"])


def test_a_silent_node_is_given_up_and_taken_back() -> None:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as lab:
        assert offered_nodes(lab.inspect()) == ["n1", "n2", "n3"]
        lab.fault("stop-node", "n2")
        view = until(lab, "n2 is not ready", lambda view: not node(view, "n2")["ready"])
        assert "n2" not in offered_nodes(view)  # one transaction says both
        view = until(lab, "replaced elsewhere", lambda view: len(offered_nodes(view)) == 3)
        assert "n2" not in offered_nodes(view)
        left = [row for row in view["pods"] if row["node"] == "n2"]
        assert [row["phase"] for row in left] == ["Terminating"]
        lab.fault("heal", "n2")
        view = until(
            lab,
            "n2 is back, and rid of its old pod",
            lambda view: (
                node(view, "n2")["ready"] and not any(row["node"] == "n2" for row in view["pods"])
            ),
        )
        assert len(offered_nodes(view)) == 3
