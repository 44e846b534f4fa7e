"""A trial changes its lab while it runs: another topology, other labels, a command beside."""

from __future__ import annotations

import pytest

from testbed.errors import UsageError
from testbed.experiment.arrange import with_workload
from testbed.experiment.trial_lab import TrialLab
from testbed.lab.client import Lab
from testbed.model.topology import Topology

pytestmark = pytest.mark.lab

TOPOLOGY = Topology.model_validate(
    {
        "name": "change",
        "nodes": {"n1": {}},
        "dns": {"replicas": 0},
        "proxy": {"minSyncPeriod": "10ms"},
        "workloads": {"web": {"replicas": 2, "labels": {"member": "yes"}}},
        "services": {"web": {"port": 80, "targetPort": 8080, "selector": {"member": "yes"}}},
    }
)


def members(lab: TrialLab) -> set[str]:
    """The pods behind the service."""
    (service,) = lab.inspect()["services"]
    return {endpoint["pod"] for endpoint in service["endpoints"]}


def test_a_lab_is_changed_while_it_runs(name: str) -> None:
    with Lab.up(TOPOLOGY, name=name, ephemeral=True) as running:
        lab = TrialLab(running)
        beside = lab.begin("web-0", ["hostname"])
        pods = {pod["name"]: pod for pod in lab.inspect()["pods"]}
        since_ns = lab.now_ns()
        lab.label("web-0", member="no")
        lab.await_programmed("endpoint-not-ready", pods["web-0"]["ip"], since_ns, 300)
        assert members(lab) == {"web-1"}
        lab.apply(lambda topology: with_workload(topology, "web", replicas=3))
        assert members(lab) == {"web-1", "web-2"}
        uids = {pod["name"]: pod["uid"] for pod in lab.inspect()["pods"]}
        assert uids["web-0"] == pods["web-0"]["uid"]
        with pytest.raises(UsageError, match="n1 is a node"):
            lab.label("n1", member="no")
        assert beside.result().stdout == "web-0\n"
