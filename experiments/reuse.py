"""Keep-alive: many requests on few connections. How evenly are they spread, in each proxy mode?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis import reuse
from testbed.analysis.run import Finding, Run
from testbed.experiment import streams
from testbed.experiment.arrange import (
    require_positive,
    subject_workload,
    with_clients_on_every_node,
    with_workload,
    without_names,
)
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology

QUESTION = "Where connections are kept alive, how evenly are the requests spread?"
HYPOTHESIS = (
    "No better than their connections, in any mode: the coefficient of variation of requests over"
    " the backends is what a random backend for each connection gives, to within 0.05."
)
REFUTED_IF = "In some mode it is shown to be more than 0.05 away from that."

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "proxy": ("iptables-legacy", "ipvs/rr", "userspace"),
    "reuse": (1, 10, 100),
    "replicas": (3,),
    "rate_rps": (300.0,),
    "duration_s": (12.0,),
}
"""`reuse`: requests that a connection carries; `rate_rps` is of all clients together and the same for
each: what differs is only how few connections carry the requests."""
CHOICES = {"proxy": MODES}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = False
PROFILES = {
    "smoke": Profile(
        repeats=5,
        factors={
            "proxy": ("iptables-legacy",),
            "reuse": (1, 20),
            "rate_rps": (1000.0,),
            "duration_s": (3.0,),
        },
    )
}

MARGIN = 0.05
CONTROL_RPS = 20.0


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject in the trial's mode, with its replicas, and callers on every node.

    Raises UsageError for a factor that makes no load.
    """
    require_positive("reuse", factors, "reuse", "replicas", "rate_rps", "duration_s")
    topology = with_mode(without_names(topology), str(factors["proxy"]))
    topology = with_workload(
        topology, subject_workload(topology), replicas=factors["replicas"], server="process"
    )
    return with_clients_on_every_node(topology)


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return float(factors["duration_s"])


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Poisson arrivals of requests from every node, on connections that carry `reuse` of them."""
    subject = lab.subject()
    lab.load(*streams.reused(subject, subject.url(), factors, CONTROL_RPS, seed))


def measure(run: Run) -> pd.DataFrame:
    """Metrics of each trial, for trials.csv."""
    return reuse.metrics(run)


def primary(run: Run) -> list[Primary]:
    """How much more uneven requests are than random connections make them."""
    return reuse.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """Random picks: the fewer connections, the more their evenness differs from trial to trial."""
    requests = float(factors["rate_rps"]) * float(factors["duration_s"])
    spread = reuse.random_cv_spread(requests / int(factors["reuse"]), int(factors["replicas"]))
    return (Pilot("as-random-connections", MARGIN, spread),)


def analyse(run: Run) -> list[Finding]:
    """Whether requests are as uneven as random connections make them, arm by arm."""
    return reuse.findings(run, HYPOTHESIS, MARGIN)


def plot(run: Run) -> Mapping[str, Any]:
    """Unevenness of requests by how many of them a connection carries."""
    from testbed.report.reuse import figures

    return figures(run)
