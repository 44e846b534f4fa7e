"""After a backend fails: how long until it is noticed, withdrawn and avoided, and what failed?"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pandas as pd

from testbed.analysis import failover
from testbed.analysis.failover import ProbeSettings
from testbed.analysis.phases import FAULTS, HOLD_S
from testbed.analysis.run import Finding, Run
from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.events import Event
from testbed.experiment.arrange import (
    MIN_SYNC_S,
    RELIST_S,
    require_two_replicas,
    subject_workload,
    with_clients_on_every_node,
    with_timing,
    with_usual_periods,
    with_workload,
    without_names,
)
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.streams import kept, outage
from testbed.experiment.subjects import PodRef, Subject
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = (
    "After a crash, a deletion, a hang or a node's loss of power: how long to detect, withdraw,"
    " program on every node and recover, and what failed?"
)
HYPOTHESIS = (
    "Clients have recovered within what the mechanism that notices the fault needs at most, plus"
    " one sync period of the proxy."
)
REFUTED_IF = "Recovery is shown to take typically longer than that limit."

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "fault": FAULTS,
    "replicas": (3,),
    "placement": ("every",),
    "probe_period_s": (10,),
    "probe_timeout_s": (1,),
    "probe_failures": (3,),
    "monitor_period_s": (5,),
    "monitor_grace_s": (50,),
    "kept_connections": (8,),
}
"""`placement`: clients on `one` node or on `every`; `monitor_…`: the node controller's, which notices
`stop-node`; `kept_connections`: of each client."""
PROBE = ("probe_period_s", "probe_timeout_s", "probe_failures")
"""The factors that make the readiness probe."""
MECHANISM = (*PROBE, "monitor_period_s", "monitor_grace_s")
"""The factors that say how soon a fault is noticed."""
STOP_NODE = "stop-node"
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=3,
        factors={
            "fault": ("crash", "delete", "hang"),
            "probe_period_s": (1,),
            "probe_failures": (1,),
            "monitor_period_s": (0.5,),
            "monitor_grace_s": (1,),
        },
    )
}

OUTAGE_RPS = 100.0
"""A new connection every 10 ms (MEASURING.md, Phases)."""
OUTAGE_TIMEOUT_S = 0.5
KEPT_RPS = 50.0
CONTROL_RPS = 20.0
LEAD_IN_S = 0.5
"""Traffic before the earliest fault: it shows that nothing failed without one."""
MARGIN_S = 0.5
"""Beyond what the mechanisms need at most: processing, and the timeout of a request."""


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject with the trial's replicas, readiness probe and node controller, and a client pod on
    each node.

    Raises UsageError for fewer than two replicas or nodes: what fails needs somebody who stays.
    """
    require_two_replicas("failover", factors)
    if factors["fault"] == STOP_NODE and len(topology.nodes) < 2:
        raise UsageError("stop-node needs a node that stays", "give the topology at least 2")
    probe = {
        "periodSeconds": factors["probe_period_s"],
        "timeoutSeconds": factors["probe_timeout_s"],
        "failureThreshold": factors["probe_failures"],
    }
    subject = subject_workload(topology)
    topology = with_workload(
        without_names(topology),
        subject,
        replicas=factors["replicas"],
        readiness_probe=probe,
        server="process",
    )
    topology = with_timing(
        with_usual_periods(topology),
        node_monitor_period_s=factors["monitor_period_s"],
        node_monitor_grace_period_s=factors["monitor_grace_s"],
    )
    return with_clients_on_every_node(topology)


def probe_of(factors: Factors) -> ProbeSettings:
    """The trial's readiness probe."""
    return ProbeSettings(
        float(factors["probe_period_s"]),
        float(factors["probe_timeout_s"]),
        int(factors["probe_failures"]),
    )


def recovery_limit_s(fault: str, factors: Factors) -> float:
    """What a fault's recovery may take: noticing it at worst, a sync, and a margin."""
    noticed = {
        "crash": RELIST_S,
        "delete": 0.0,
        "hang": probe_of(factors).latest_s,
        STOP_NODE: float(factors["monitor_grace_s"]) + float(factors["monitor_period_s"]),
    }[fault]
    return noticed + MIN_SYNC_S + MARGIN_S


def phase_s(factors: Factors) -> float:
    """The period of what notices the fault, over which its instant is spread."""
    periods = (probe_of(factors).period_s, float(factors["monitor_period_s"]))
    return periods[factors["fault"] == STOP_NODE]


def estimate_s(factors: Factors) -> float:
    """How long a trial takes on average, without its lab."""
    limit_s = recovery_limit_s(str(factors["fault"]), factors)
    return LEAD_IN_S + phase_s(factors) / 2 + limit_s + HOLD_S


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Traffic from every client; one backend fails; watched until all nodes avoid it and 5 s more.

    The fault falls anywhere in one period of what notices it: `seed` says where, and which backend it
    is. With a node stop the clients on it, too: nobody is left there to ask.
    """
    chance = random.Random(seed)
    subject = lab.subject()
    victim = chance.choice(subject.backends)
    stops = factors["fault"] == STOP_NODE
    limit_s = recovery_limit_s(str(factors["fault"]), factors)
    lead_in_s = LEAD_IN_S + chance.uniform(0, phase_s(factors))
    callers = [
        pair
        for pair in zip(subject.clients, subject.controls, strict=True)
        if not stops or pair[0].node != victim.node
    ]
    if factors["placement"] != "every":
        del callers[1:]
    longest_s = lead_in_s + 2 * limit_s + HOLD_S
    survivor = _survivor(subject, victim, elsewhere=stops)
    specs = [
        spec
        for number, (client, control) in enumerate(callers)
        for spec in streams(
            replace(
                outage(
                    subject,
                    rate_rps=OUTAGE_RPS,
                    duration_s=longest_s,
                    timeout_s=OUTAGE_TIMEOUT_S,
                    seed=seed + number,
                ),
                source=client.name,
            ),
            kept_connections=int(factors["kept_connections"]),
            control=(control.name, subject.direct_url(survivor)),
        )
    ]
    loads = lab.start_loads(*specs)
    lab.pause(lead_in_s)
    fault = lab.fault(str(factors["fault"]), victim.node if stops else victim.name)
    _watch(lab, fault, victim, 2 * limit_s)
    for load in loads:
        load.stop()


def _survivor(subject: Subject, victim: PodRef, *, elsewhere: bool) -> PodRef:
    """A backend that stays; `elsewhere`: on another node. Raises UsageError where there is none."""
    for pod in subject.backends:
        if pod != victim and not (elsewhere and pod.node == victim.node):
            return pod
    raise UsageError("every backend is on the node that stops", "spread them over several nodes")


def streams(new: LoadSpec, kept_connections: int, control: tuple[str, str]) -> tuple[LoadSpec, ...]:
    """New connections, requests on kept ones, and a control straight to a pod that stays.

    `control` is where the control comes from, and its URL.
    """
    source, url = control
    direct = replace(
        new, label="control", source=source, url=url, rate_rps=CONTROL_RPS, arrivals="poisson"
    )
    return new, kept(new, rate_rps=KEPT_RPS, connections=kept_connections), direct


def _watch(lab: TrialLab, fault: Event, victim: PodRef, patience_s: float) -> None:
    """Wait until every node has programmed the withdrawal, then for as long as recovery must hold.

    What has not happened within `patience_s` is recorded as censored: the trial ends without it.
    """
    with suppress(OutOfTimeOrRoom):
        lab.await_programmed("endpoint-not-ready", victim.ip, fault.t_ns, patience_s)
        lab.pause(HOLD_S + MARGIN_S)


def measure(run: Run) -> pd.DataFrame:
    """Phases and losses of each trial, for trials.csv."""
    return failover.metrics(run)


def primary(run: Run) -> list[Primary]:
    """When clients have recovered."""
    return failover.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs: how long it takes, and by how much that differs, on the logarithm."""
    probe, grace_s = probe_of(factors), float(factors["monitor_grace_s"])
    typical_s, spread = {
        "crash": (RELIST_S / 2, 0.7),
        "delete": (MIN_SYNC_S / 10, 0.8),
        "hang": (
            (probe.earliest_s + probe.latest_s) / 2,
            (probe.latest_s - probe.earliest_s) / 12**0.5 / probe.latest_s,
        ),
        STOP_NODE: (grace_s, 0.1),
    }[str(factors["fault"])]
    limit_s = recovery_limit_s(str(factors["fault"]), factors)
    margin = math.log(limit_s / typical_s)
    return (Pilot("recovery", margin, spread, scale="log", claim="below"),)


def analyse(run: Run) -> list[Finding]:
    """Recovery of each arm against the limit that its mechanism sets.

    The limit of a hang is the probe's, that of a stopped node the node controller's, so that the trials
    of each setting of these are a family of their own.
    """
    # Runs of older versions know nothing of the node controller.
    settings = run.trials[[name for name in MECHANISM if name in run.trials.columns]]
    families = settings.drop_duplicates()
    found: list[Finding] = []
    for _, setting in families.iterrows():
        mechanism = {name: setting.get(name, FACTORS[name][0]) for name in MECHANISM}
        probe = probe_of(mechanism)
        family = run.only(run.trials.loc[settings.eq(setting).all(axis=1), "trial"])
        said = (
            f" Probe every {probe.period_s:g} s, {probe.failure_threshold} failures; nodes looked at"
            f" every {mechanism['monitor_period_s']:g} s, grace {mechanism['monitor_grace_s']:g} s."
        )
        found += [
            replace(finding, question=finding.question + said * (len(families) > 1))
            for finding in failover.findings(family, HYPOTHESIS, limits_ms(mechanism), probe)
        ]
    return found


def limits_ms(mechanism: Factors) -> dict[str, float]:
    """What each fault's recovery may take."""
    return {fault: recovery_limit_s(fault, mechanism) * 1e3 for fault in FAULTS}


def plot(run: Run) -> Mapping[str, Any]:
    """Phases per fault, the typical trial as a timeline, and requests around the fault."""
    from testbed.report.failover import figures

    return figures(run)
