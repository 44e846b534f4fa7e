"""A node loses its power: silence, nothing of it left, and a boot that knows nothing of before."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from testbed.errors import CheckFailed
from testbed.experiment.trial_lab import has_programmed
from testbed.lab.client import Lab
from testbed.lab.trace_request import trace
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

TOPOLOGY: dict[str, Any] = {
    "name": "stop-node",
    "nodes": {"n1": {}, "n2": {}},
    "dns": {"replicas": 0},
    "proxy": {"minSyncPeriod": "100ms"},
    "workloads": {
        "near": {"port": 8080, "node": "n1"},
        "web": {"replicas": 1, "port": 8080, "node": "n2"},
    },
    "services": {"web": {"port": 80, "targetPort": 8080}},
}
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), name=unique_name()) as running:
        yield running


def answered(lab: Lab, url: str, patience_s: int = 60) -> str:
    """What a pod of the other node is told; "" where nobody answers."""
    return lab.exec("near-0", ["curl", "-s", "-m", str(patience_s), url], 120).stdout


def pod(lab: Lab, name: str) -> dict[str, Any]:
    return next(row for row in lab.inspect()["pods"] if row["name"] == name)


def test_a_stopped_node_is_silent_until_it_boots_anew(lab: Lab) -> None:
    view = lab.inspect()
    before, service = pod(lab, "web-0"), view["services"][0]["clusterIP"]
    direct = f"http://{before['ip']}:8080/hostname"
    assert answered(lab, direct) == "web-0"
    stopped = lab.fault("stop-node", "n2")
    assert [row["uid"] for row in stopped.detail["pods"]] == [before["uid"]]
    assert answered(lab, direct, patience_s=1) == ""
    for where in ("n2", "web-0"):
        with pytest.raises(CheckFailed, match="node n2 is stopped"):
            lab.exec(where, ["true"], 120)
    for refused in (lambda: lab.rules("n2"), lambda: lab.fault("stop-node", "n2")):
        with pytest.raises(CheckFailed, match="node n2 is stopped"):
            refused()
    told, _ = trace(lab, "near-0", f"{before['ip']}:8080", "0badcafe", udp=False, timeout_s=0.5)
    assert [way["reason"] for way in told["predicted"]] == ["n2 is stopped"]
    assert told["agrees"]

    healed = lab.heal("n2")
    assert healed.detail["healed"] == ["stop-node"]
    offered = lab.wait_event(
        lambda event: event.kind == "endpoint-ready" and event.t_ns > healed.t_ns, PATIENCE_S
    )
    for node in ("n1", "n2"):
        lab.wait_event(partial(has_programmed, node=node, write=offered), PATIENCE_S)
    assert answered(lab, f"http://{pod(lab, 'web-0')['ip']}:8080/hostname") == "web-0"
    assert answered(lab, f"http://{service}/hostname") == "web-0"
    assert lab.exec("n2", ["true"], 120).returncode == 0
    with pytest.raises(CheckFailed, match="nothing is wrong with n2"):
        lab.heal("n2")
