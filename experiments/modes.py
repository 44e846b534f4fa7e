"""Proxy modes side by side: how evenly each spreads connections, and what a crash costs in each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from testbed.analysis import balance, failover, paired
from testbed.analysis.latency import over_direct
from testbed.analysis.paired import Measure
from testbed.analysis.phases import HOLD_S
from testbed.analysis.run import Finding, Run
from testbed.errors import OutOfTimeOrRoom
from testbed.experiment.arrange import (
    RELIST_S,
    require_positive,
    subject_workload,
    with_clients_on_every_node,
    with_usual_periods,
    with_workload,
    without_names,
)
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.streams import main_and_control
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = (
    "Does it matter which proxy mode a cluster runs: for balance, latency, and after a crash?"
)
HYPOTHESIS = (
    "Against the first mode of the run, each other mode spreads connections as evenly (coefficient"
    " of variation of the shares within 0.05), answers as fast (latency over the direct way within"
    " 20 %), and recovers from a crashed backend as soon (within 500 ms)."
)
REFUTED_IF = "Some mode is shown to differ from the first by more than one of these margins."

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "proxy": ("iptables-legacy", "ipvs/rr", "ipvs/lc", "ipvs/sh", "ipvs/mh", "userspace"),
    "replicas": (3,),
    "rate_rps": (90.0,),
    "duration_s": (10.0,),
    "outage_rps": (30.0,),
}
"""`rate_rps` is of all client nodes together, `outage_rps` of each. All six modes of the first
factor run on the packaged guest kernel; where another kernel is meant, name its modes."""
CHOICES = {"proxy": MODES}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=2, factors={"proxy": ("iptables-legacy", "ipvs/rr"), "duration_s": (3.0,)}
    )
}

MEASURES = (
    Measure("cv", "coefficient of variation of the shares", "", 0.05),
    Measure("latency_over_direct", "latency over the direct way", "", 0.2),
    Measure("recover_ms", "time to recover from a crash", "ms", 500.0, "recover_censored"),
)
SPREADS = {"cv": 0.03, "latency_over_direct": 0.15, "recover_ms": 300.0}
"""Standard deviations of those differences between blocks."""
OUTAGE_TIMEOUT_S = 0.5
LEAD_IN_S = 0.5
PATIENCE_S = 30.0
"""How long the withdrawal of a crashed backend, and its return, may take to reach every node: a relist of
1 s, a sync period of 1 s, and room for a machine that others use."""

SETTLE_S = 1.0
"""What comes back after the last node's rules: requests in flight, a connection's time-out."""


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject in the trial's mode, with its replicas, each a process of its own, and callers.

    Raises UsageError for a factor that makes no load.
    """
    require_positive("modes", factors, "replicas", "rate_rps", "duration_s", "outage_rps")
    topology = with_mode(with_usual_periods(without_names(topology)), str(factors["proxy"]))
    topology = with_workload(
        topology, subject_workload(topology), replicas=factors["replicas"], server="process"
    )
    return with_clients_on_every_node(topology)


def estimate_s(factors: Factors) -> float:
    """How long a trial takes on average, without its lab."""
    return float(factors["duration_s"]) + LEAD_IN_S + 3.0 + SETTLE_S + HOLD_S


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Poisson arrivals first; then a backend crashes under a steady stream of new connections."""
    chance = random.Random(seed)
    subject = lab.subject()
    rate_rps, duration_s = float(factors["rate_rps"]), float(factors["duration_s"])
    lab.load(*main_and_control(subject, rate_rps, duration_s, seed))
    outages = lab.start_loads(
        *(
            LoadSpec(
                source=client.name,
                url=subject.url(),
                rate_rps=float(factors["outage_rps"]),
                arrivals="constant",
                duration_s=LEAD_IN_S + RELIST_S + 4 * PATIENCE_S + HOLD_S + SETTLE_S,
                timeout_s=OUTAGE_TIMEOUT_S,
                drain_s=OUTAGE_TIMEOUT_S,
                seed=seed + 200 + number,
                label="outage",
            )
            for number, client in enumerate(subject.clients)
        )
    )
    victim = chance.choice(subject.backends)
    lab.pause(LEAD_IN_S + chance.uniform(0.0, RELIST_S))
    fault = lab.fault("crash", victim.name)
    with suppress(OutOfTimeOrRoom):  # what was not reached is recorded as censored
        # Its return counts, too: sh and mh lead sources that hash to it nowhere until then.
        for change in ("endpoint-not-ready", "endpoint-ready"):
            lab.await_programmed(change, victim.ip, fault.t_ns, PATIENCE_S)
        lab.pause(HOLD_S + SETTLE_S)
    for load in outages:
        load.stop()


def measure(run: Run) -> pd.DataFrame:
    """Balance, latency and failover of each trial, for trials.csv."""
    table = balance.metrics(run).merge(over_direct(run), on="trial", how="outer")
    return table.merge(failover.metrics(run), on="trial", how="outer")


def primary(run: Run) -> list[Primary]:
    """Every mode minus the first, block by block."""
    return paired.primaries(paired.differences(run, measure(run), "proxy", MEASURES), "proxy")


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs, in a guest kernel."""
    return tuple(
        Pilot(paired.name_of(one), one.margin, SPREADS[one.column], one.unit, against="proxy")
        for one in MEASURES
    )


def analyse(run: Run) -> list[Finding]:
    """Every mode against the first, block by block, in each of the three measures."""
    return paired.findings(paired.differences(run, measure(run), "proxy", MEASURES), HYPOTHESIS)


def plot(run: Run) -> Mapping[str, Any]:
    """The differences with their intervals, and the trials behind them."""
    from testbed.report.comparison import differences, trials_by

    table = measure(run)
    return {
        "differences": differences(run, paired.differences(run, table, "proxy", MEASURES)),
        "trials": trials_by(run, table, "proxy", MEASURES),
    }
