"""A balancer outside the cluster does without a node that is lost, and takes it back; the experiment on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.analysis import edge
from testbed.claims import edge_lab
from testbed.edge.doors import Row
from testbed.edge.promises import Setting
from testbed.events import Event
from testbed.experiment.trial_lab import TrialLab
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.awaited import awaited
from tests.lab.conducted import conducted

pytestmark = pytest.mark.lab

PATIENCE_S = 300.0
ROW = Row("LoadBalancer", "Local", "outside")


def of_n1(kind: str, asked: str, since_ns: int) -> Callable[[Event], bool]:
    """What the balancer finds out about n1 by one of its checks."""

    def is_it(event: Event) -> bool:
        found = (event.source, event.kind, event.node) == ("edge", kind, "n1")
        return found and event.t_ns >= since_ns and event.detail["asked"] == asked

    return is_it


def answering(lab: Lab, here: Setting) -> set[str]:
    """The pods that answer at the address with policy Local."""
    return {one.who for one in edge_lab.dialled(TrialLab(lab), here, [ROW])[ROW.name]}


def await_answers(lab: Lab, here: Setting, pods: set[str]) -> None:
    """Dial until just these answer: a check that a busy machine is late with keeps a node out for a while."""
    awaited(lambda: answering(lab, here), lambda found: found == pods)


@pytest.mark.parametrize("program", ["haproxy", "nftables"])
def test_a_lost_node_is_avoided_and_taken_back(program: str, name: str) -> None:
    made = edge_lab.topology(program)
    made["loadBalancer"]["cloud"]["healthCheck"] |= {"interval": "300ms", "unhealthyThreshold": 2}
    made["services"]["datagrams"] = {
        "type": "LoadBalancer", "port": 53, "targetPort": 8080, "protocol": "UDP",
        "selector": {"serves": "web"},
    }  # fmt: skip
    here = edge_lab.setting(program, "iptables")
    with Lab.up(Topology.model_validate(made), name=name, timeout_s=300, ephemeral=True) as lab:
        trial = TrialLab(lab)
        seen = lab.inspect()["loadBalancer"]
        refused = [one["service"] for one in seen["refused"]]
        assert refused == (["default/datagrams"] if program == "haproxy" else [])
        (rest,) = {one.partition(":")[2] for one in seen["unhealthy"] if one.startswith("n3:")}
        since_ns = lab.now_ns()
        await_answers(lab, here, {"web-n1-0", "web-n2-0"})
        lab.fault("stop-node", "n1")
        trial.wait_event(of_n1("node-unhealthy", f":{rest}", since_ns), PATIENCE_S)
        await_answers(lab, here, {"web-n2-0"})
        back = lab.heal("n1")
        trial.wait_event(of_n1("node-healthy", f":{rest}", back.t_ns), PATIENCE_S)
        await_answers(lab, here, {"web-n1-0", "web-n2-0"})


def test_what_is_lost_is_told_by_phase(tmp_path: Path) -> None:
    run = conducted("edge", tmp_path, "policy=Local", "rate_rps=40")
    row = edge.metrics(run).iloc[0]
    assert not row["noticed_ms_censored"]
    assert not row["over_ms_censored"]
    assert row["lost_blind"] > 0
    assert row["source_kept_share"] == 0
    assert row["two_hops_share"] == 0
