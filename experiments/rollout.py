"""A rolling update under load: what is lost meanwhile, and who gets the requests afterwards?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from testbed.analysis import rollout
from testbed.analysis.run import Finding, Run
from testbed.errors import UsageError
from testbed.experiment.arrange import (
    require_positive,
    require_two_replicas,
    subject_workload,
    with_clients_on_every_node,
    with_workload,
    without_names,
)
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.streams import kept, outage
from testbed.experiment.subjects import PodRef
from testbed.experiment.trial_lab import TrialLab
from testbed.ip import host_port
from testbed.kernel.features import Feature
from testbed.model.topology import Topology

QUESTION = (
    "While a Deployment is updated under load, what do clients lose, and are its new pods used evenly"
    " afterwards?"
)
HYPOTHESIS = (
    "Nobody notices: from the update's begin until its end fewer than 0.1 % of the requests fail, on"
    " new and on kept connections, and afterwards the pod that came last has its share of the"
    " requests on kept connections, to within five percentage points."
)
REFUTED_IF = (
    "Some way to update is shown to lose more than that, or to leave the last pod more than five"
    " points from its share."
)

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "strategy": ("RollingUpdate", "Recreate"),
    "pre_stop_s": (0, 3),
    "max_surge": (1,),
    "max_unavailable": (0,),
    "readiness_delay_s": (2,),
    "min_ready_s": (0,),
    "grace_s": (30,),
    "replicas": (4,),
    "kept_connections": (8,),
}
"""`strategy` is the Deployment's; `max_…` are of a rolling update (numbers of pods). `pre_stop_s`: how long
a pod's preStop hook sleeps before SIGTERM, 0: it has none. `readiness_delay_s` is the readiness probe's
initialDelaySeconds, which stands for the time that a program takes to start; `grace_s` the termination
grace period; `kept_connections` are of each client."""
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=3,
        factors={
            "strategy": ("RollingUpdate",),
            "pre_stop_s": (0, 2),
            "readiness_delay_s": (1,),
            "replicas": (3,),
        },
    )
}

LOST_MARGIN = 0.001
SHARE_MARGIN = 0.05
PROBE = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 3}
NEW_RPS = 100.0
KEPT_RPS = 50.0
CONTROL_RPS = 20.0
TIMEOUT_S = 0.5
LEAD_IN_S = 0.5
AFTERWARDS_S = 3.0
"""Traffic after the update: who gets it is the second question."""
ROLLOUT_S = 60.0
"""Longest update that is watched, beyond what its hooks and delays take."""
STEP_S = 0.4
"""One pod's replacement: it starts, is probed, and a sync later the old one ends."""
_CLIENT_PORT = 8080


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject with the trial's strategy, hook and probe, and callers on every node.

    Raises UsageError for less than two replicas, one node, or bounds under which nothing can move.
    """
    require_positive("rollout", factors, "replicas", "kept_connections", "grace_s")
    require_two_replicas("rollout", factors, such_as=4)
    if len(topology.nodes) < 2:
        raise UsageError("rollout needs a control on another node", "give the topology at least 2")
    if not int(factors["max_surge"]) and not int(factors["max_unavailable"]):
        raise UsageError("with max_surge and max_unavailable 0 no pod may be replaced")
    pre_stop_s = int(factors["pre_stop_s"])
    topology = with_workload(
        without_names(topology),
        subject_workload(topology),
        replicas=factors["replicas"],
        readiness_probe={**PROBE, "initialDelaySeconds": factors["readiness_delay_s"]},
        termination_grace_period_s=float(factors["grace_s"]),
        lifecycle={"preStop": {"sleep": {"seconds": pre_stop_s}}} if pre_stop_s else None,
        strategy=strategy(factors),
        min_ready_s=float(factors["min_ready_s"]),
        server="process",
    )
    return with_clients_on_every_node(topology)


def strategy(factors: Factors) -> dict[str, Any]:
    """The Deployment's, as Kubernetes spells it."""
    if factors["strategy"] == "Recreate":
        return {"type": "Recreate"}
    bounds = {
        "maxSurge": int(factors["max_surge"]),
        "maxUnavailable": int(factors["max_unavailable"]),
    }
    return {"type": "RollingUpdate", "rollingUpdate": bounds}


def rollout_s(factors: Factors) -> float:
    """How long the update will take, about."""
    one_s = STEP_S + float(factors["readiness_delay_s"]) + float(factors["min_ready_s"])
    ends_s = float(factors["pre_stop_s"]) + STEP_S
    if factors["strategy"] == "Recreate":
        return one_s + ends_s
    at_once = max(1, int(factors["max_surge"]) + int(factors["max_unavailable"]))
    return one_s * -(-int(factors["replicas"]) // at_once) + ends_s


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return LEAD_IN_S + rollout_s(factors) + AFTERWARDS_S + TIMEOUT_S


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """New connections and requests on kept ones from every node, while another version takes over."""
    subject = lab.subject()
    longest_s = LEAD_IN_S + rollout_s(factors) + ROLLOUT_S + AFTERWARDS_S
    new = outage(subject, rate_rps=NEW_RPS, duration_s=longest_s, timeout_s=TIMEOUT_S)
    lasting = kept(new, rate_rps=KEPT_RPS, connections=int(factors["kept_connections"]))
    loads = lab.start_loads(
        *(
            replace(spec, source=client.name, seed=seed + number)
            for number, client in enumerate(subject.clients)
            for spec in (new, lasting)
        ),
        replace(
            new,
            source=subject.controls[0].name,
            url=_direct(subject.controls[1]),
            rate_rps=CONTROL_RPS,
            arrivals="poisson",
            seed=seed + 100,
            label="control",
        ),
    )
    lab.pause(LEAD_IN_S)
    lab.note(rollout.BEGUN, workload=subject_workload(lab.topology()))
    lab.apply(_next_version)
    lab.note(rollout.DONE)
    lab.pause(AFTERWARDS_S)
    for load in loads:
        load.stop()


def _direct(pod: PodRef) -> str:
    """A client's own server: every backend is replaced, so the control dials somebody else."""
    return f"http://{host_port(pod.ip, _CLIENT_PORT)}/hostname"


def _next_version(topology: Topology) -> Topology:
    """The same Deployment with another pod template, which is what begins an update."""
    name = subject_workload(topology)
    labels = {**topology.workloads[name].labels, "version": "next"}
    return with_workload(topology, name, labels=labels)


def measure(run: Run) -> pd.DataFrame:
    """Metrics of each trial, for trials.csv."""
    return rollout.metrics(run)


def primary(run: Run) -> list[Primary]:
    """What is lost, and the last pod's share."""
    return rollout.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs. Kept connections go to the last pod only where they break anew."""
    return (
        Pilot("no-new-lost", LOST_MARGIN, LOST_MARGIN / 2),
        Pilot("no-kept-lost", LOST_MARGIN, LOST_MARGIN / 2),
        Pilot("last-pod-has-its-share", SHARE_MARGIN, 0.05),
    )


def analyse(run: Run) -> list[Finding]:
    """Losses against 0.1 %, the last pod's share against an equal one, arm by arm."""
    return rollout.findings(run, HYPOTHESIS, LOST_MARGIN, SHARE_MARGIN)


def plot(run: Run) -> Mapping[str, Any]:
    """Losses by outcome, requests over time, shares afterwards in the order in which pods came."""
    from testbed.report.rollout import figures

    return figures(run)
