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
    subject_workload,
    with_clients_on_every_node,
    with_workload,
    without_names,
)
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.subjects import PodRef
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = (
    "After a crash, a deletion or a hang: how long to detect, withdraw, program on every node and"
    " recover, and what failed?"
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
    "kept_connections": (8,),
}
"""`placement`: clients on `one` node or on `every`; `kept_connections`: of each client."""
PROBE = ("probe_period_s", "probe_timeout_s", "probe_failures")
"""The factors that make the readiness probe."""
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {"smoke": Profile(repeats=5, factors={"probe_period_s": (1,), "probe_failures": (1,)})}

OUTAGE_RPS = 100.0
"""A new connection every 10 ms (MEASURING.md, Phases)."""
OUTAGE_TIMEOUT_S = 0.5
KEPT_RPS = 50.0
CONTROL_RPS = 20.0
LEAD_IN_S = 0.5
"""Traffic before the earliest fault: it shows that nothing failed without one."""
RELIST_S = 1.0
"""How often the kubelet looks whether a container has died."""
MIN_SYNC_S = 1.0
"""kube-proxy's minSyncPeriod, as in the topology."""
MARGIN_S = 0.5
"""Beyond what the mechanisms need at most: processing, and the timeout of a request."""
_FOREVER = 1_000_000
"""Requests per kept connection: more than any trial sends."""


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject with the trial's replicas and readiness probe, and a client pod on each node.

    Raises UsageError for fewer than two replicas: what fails needs somebody who stays.
    """
    if int(factors["replicas"]) < 2:
        raise UsageError("failover needs at least 2 replicas", "as in --set replicas=3")
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
    return with_clients_on_every_node(topology)


def probe_of(factors: Factors) -> ProbeSettings:
    """The trial's readiness probe."""
    return ProbeSettings(
        float(factors["probe_period_s"]),
        float(factors["probe_timeout_s"]),
        int(factors["probe_failures"]),
    )


def recovery_limit_s(fault: str, probe: ProbeSettings) -> float:
    """What a fault's recovery may take: noticing it at worst, a sync, and a margin."""
    noticed = {"crash": RELIST_S, "delete": 0.0, "hang": probe.latest_s}[fault]
    return noticed + MIN_SYNC_S + MARGIN_S


def estimate_s(factors: Factors) -> float:
    """How long a trial takes on average, without its lab."""
    probe = probe_of(factors)
    limit = recovery_limit_s(str(factors["fault"]), probe)
    return LEAD_IN_S + probe.period_s / 2 + limit + HOLD_S


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Traffic from every client; one backend fails; watched until all nodes avoid it and 5 s more.

    The fault falls anywhere in one probe period: `seed` says where, and which backend it is.
    """
    chance = random.Random(seed)
    subject = lab.subject()
    victim = chance.choice(subject.backends)
    probe = probe_of(factors)
    limit_s = recovery_limit_s(str(factors["fault"]), probe)
    lead_in_s = LEAD_IN_S + chance.uniform(0, probe.period_s)
    clients = subject.clients if factors["placement"] == "every" else subject.clients[:1]
    longest_s = lead_in_s + 2 * limit_s + HOLD_S
    survivor = next(pod for pod in subject.backends if pod != victim)
    specs = [
        spec
        for number, client in enumerate(clients)
        for spec in streams(
            LoadSpec(
                source=client.name,
                url=subject.url(),
                rate_rps=OUTAGE_RPS,
                arrivals="constant",
                duration_s=longest_s,
                timeout_s=OUTAGE_TIMEOUT_S,
                drain_s=OUTAGE_TIMEOUT_S,
                seed=seed + number,
                label="outage",
            ),
            kept_connections=int(factors["kept_connections"]),
            control=(subject.controls[number].name, subject.direct_url(survivor)),
        )
    ]
    loads = lab.start_loads(*specs)
    lab.pause(lead_in_s)
    fault = lab.fault(str(factors["fault"]), victim.name)
    _watch(lab, fault, victim, 2 * limit_s)
    for load in loads:
        load.stop()


def streams(
    outage: LoadSpec, kept_connections: int, control: tuple[str, str]
) -> tuple[LoadSpec, ...]:
    """New connections, requests on kept ones, and a control straight to a pod that stays.

    `control` is where the control comes from, and its URL.
    """
    kept = replace(
        outage,
        label="kept",
        rate_rps=KEPT_RPS,
        arrivals="poisson",
        connections=kept_connections,
        reuse=_FOREVER,
    )
    source, url = control
    direct = replace(
        outage, label="control", source=source, url=url, rate_rps=CONTROL_RPS, arrivals="poisson"
    )
    return outage, kept, direct


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
    probe = probe_of(factors)
    typical_s, spread = {
        "crash": (RELIST_S / 2, 0.7),
        "delete": (MIN_SYNC_S / 10, 0.8),
        "hang": (
            (probe.earliest_s + probe.latest_s) / 2,
            (probe.latest_s - probe.earliest_s) / 12**0.5 / probe.latest_s,
        ),
    }[str(factors["fault"])]
    limit_s = recovery_limit_s(str(factors["fault"]), probe)
    margin = math.log(limit_s / typical_s)
    return (Pilot("recovery", margin, spread, scale="log", claim="below"),)


def analyse(run: Run) -> list[Finding]:
    """Recovery of each arm against the limit that its mechanism sets.

    The limit of a hang is the probe's, so that the trials of each probe are a family of their own.
    """
    settings = run.trials[list(PROBE)]
    families = settings.drop_duplicates()
    found: list[Finding] = []
    for _, setting in families.iterrows():
        probe = probe_of({name: setting[name] for name in PROBE})
        family = run.only(run.trials.loc[settings.eq(setting).all(axis=1), "trial"])
        said = f" Probe every {probe.period_s:g} s, {probe.failure_threshold} failures."
        found += [
            replace(finding, question=finding.question + said * (len(families) > 1))
            for finding in failover.findings(family, HYPOTHESIS, limits_ms(probe), probe)
        ]
    return found


def limits_ms(probe: ProbeSettings) -> dict[str, float]:
    """What each fault's recovery may take."""
    return {fault: recovery_limit_s(fault, probe) * 1e3 for fault in FAULTS}


def plot(run: Run) -> Mapping[str, Any]:
    """Phases per fault, the typical trial as a timeline, and requests around the fault."""
    from testbed.report.failover import figures

    return figures(run)
