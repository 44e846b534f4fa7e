"""A topology adapted to a trial, and what the two experiments make of theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import NotFound, UsageError
from testbed.experiment.arrange import MIN_SYNC_S, RELIST_S, subject_workload
from testbed.experiment.design import arms, designed
from testbed.experiment.module import Experiment, load
from testbed.experiment.plan import LAB_S, planned
from testbed.experiment.setting import find_topology, topologies, topology_of
from testbed.model.shorthand import expand
from testbed.model.topology import Topology


def topology(**changes: object) -> Topology:
    """Two nodes, a workload `web` and its service."""
    keys = {
        "name": "small",
        "nodes": {"n1": {}, "n2": {}},
        "workloads": {"other": {}, "web": {"replicas": 2}},
        "services": {"web": {"port": 80}},
    }
    return Topology.model_validate(keys | changes)


@pytest.fixture(params=["balance", "failover"])
def experiment(request: pytest.FixtureRequest) -> Experiment:
    """One of the testbed's own."""
    return load(request.param)


def test_the_subject_is_the_workload_behind_the_first_service() -> None:
    assert subject_workload(topology()) == "web"


def test_a_selector_finds_the_workload_by_its_labels() -> None:
    made = topology(
        workloads={"a": {}, "b": {"labels": {"tier": "front"}}},
        services={"shop": {"port": 80, "selector": {"tier": "front"}}},
    )
    assert subject_workload(made) == "b"


def test_a_topology_without_a_subject_is_refused() -> None:
    with pytest.raises(UsageError, match="small has no service"):
        subject_workload(topology(services={}))


def test_backends_are_processes_whatever_the_topology_says(
    experiment: Experiment, tmp_path: Path
) -> None:
    file = tmp_path / "shared.yaml"
    file.write_text(
        "name: shared\nnodes: {n1: {}, n2: {}}\nservices: {web: {port: 80, targetPort: 8080}}\n"
        "workloads: {web: {replicas: 9, port: 8080, server: shared}}\n"
    )
    for made in topologies(experiment, designed(experiment), str(file)):
        assert made.workloads["web"].server == "process"


@pytest.mark.parametrize(
    "setting", ["rate_rps=-1", "rate_rps=inf", "duration_s=0", "reuse=0", "replicas=0"]
)
def test_a_load_that_is_none_is_refused_before_the_run(setting: str) -> None:
    balance = load("balance")
    with pytest.raises(UsageError, match=setting.partition("=")[0]):
        topologies(balance, designed(balance, [setting]), None)


@pytest.mark.parametrize("profile", ["smoke", "default", "paper"])
def test_every_arm_of_every_profile_is_a_topology_that_can_be_built(
    experiment: Experiment, profile: str
) -> None:
    design = designed(experiment, profile=profile)
    for factors, made in zip(arms(design), topologies(experiment, design, None), strict=True):
        objects = {item.meta.name: item for item in expand(made)}
        assert made.workloads["web"].replicas == factors["replicas"]
        assert made.dns.replicas == 0
        assert {f"client-{node}" for node in made.nodes} <= set(objects)


@pytest.mark.parametrize("name", ["quickstart.yaml", "five-nodes", "outside-client.yaml"])
def test_the_experiments_run_in_other_topologies_too(experiment: Experiment, name: str) -> None:
    factors = arms(designed(experiment, profile="smoke"))[0]
    assert topology_of(experiment, factors, name).workloads


def test_the_probe_of_failover_is_the_factor_s() -> None:
    failover = load("failover")
    design = designed(failover, ["probe_period_s=7", "fault=hang"])
    (made,) = topologies(failover, design, None)
    assert made.workloads["web"].readiness_probe == {
        "periodSeconds": 7,
        "timeoutSeconds": 1,
        "failureThreshold": 3,
    }


def test_the_node_controller_of_failover_is_the_factors() -> None:
    failover = load("failover")
    design = designed(failover, ["fault=stop-node", "monitor_grace_s=7"])
    (made,) = topologies(failover, design, None)
    timing = made.timing
    assert (timing.node_monitor_period_s, timing.node_monitor_grace_period_s) == (5, 7)


@pytest.mark.parametrize("name", ["failover", "modes"])
def test_what_a_limit_is_reckoned_from_holds_in_any_topology(name: str, tmp_path: Path) -> None:
    file = tmp_path / "slow.yaml"
    file.write_text(
        "name: slow\nnodes: {n1: {}, n2: {}}\nservices: {web: {port: 80}}\nworkloads: {web: {}}\n"
        "proxy: {minSyncPeriod: 9s}\ntiming: {relistPeriod: 9s}\n"
    )
    experiment = load(name)
    for made in topologies(experiment, designed(experiment), str(file)):
        assert made.timing.relist_period_s == RELIST_S
        assert made.proxy.min_sync_period_s == MIN_SYNC_S


def test_failover_of_a_single_replica_is_refused() -> None:
    failover = load("failover")
    with pytest.raises(UsageError, match="at least 2 replicas"):
        topologies(failover, designed(failover, ["replicas=1"]), None)


def test_a_topology_that_is_not_there_is_said(experiment: Experiment) -> None:
    with pytest.raises(NotFound, match="no topology nowhere"):
        find_topology("nowhere", experiment)


def test_a_topology_beside_the_experiment_is_found(tmp_path: Path, experiment: Experiment) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\n")
    assert find_topology(str(mine), experiment) == mine


def test_a_plan_counts_trials_and_time() -> None:
    failover = load("failover")
    short = planned(failover, designed(failover, profile="smoke"))
    long = planned(failover, designed(failover, profile="paper"))
    assert (short["arms"], short["trials"], long["trials"]) == (3, 9, 80)
    # A probe of 10 s and three failures against one of 1 s and a single failure; a node's grace likewise.
    assert long["estimate_s"] > 4 * short["estimate_s"]


def test_a_plan_counts_the_start_of_each_trial_s_lab() -> None:
    balance = load("balance")
    design = designed(balance, profile="smoke")
    plans = [planned(balance, design, kernel) for kernel in ("host", "built", "packaged")]
    times = [plan["estimate_s"] for plan in plans]
    trials = plans[0]["trials"]
    assert [plan["kernel"] for plan in plans] == ["host", "built", "packaged"]
    assert times[2] - times[0] == pytest.approx(trials * (LAB_S["packaged"] - LAB_S["host"]))
    assert sorted(times) == times
    assert planned(balance, design, None)["estimate_s"] == times[0]
