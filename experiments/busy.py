"""One backend is slower than the others: does the proxy mode notice, and what do clients wait?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from testbed.analysis import busy
from testbed.analysis.power import share_spread
from testbed.analysis.run import Finding, Run
from testbed.errors import UsageError
from testbed.experiment.arrange import (
    require_positive,
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
from testbed.traffic.spec import LoadSpec

QUESTION = "Does the proxy mode notice how busy a pod is?"
HYPOTHESIS = (
    "No mode does: a backend that takes five times as long for a request still gets an equal share"
    " of the connections, to within five percentage points."
)
REFUTED_IF = (
    "Some mode is shown to give it a share that is more than five points from an equal one."
)

TOPOLOGY = "unequal.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "proxy": ("iptables-legacy", "ipvs/rr", "ipvs/lc", "ipvs/sed", "userspace"),
    "placement": ("one", "every"),
    "quick": (2,),
    "quick_ms": (5.0,),
    "slow_ms": (25.0,),
    "rate_rps": (75.0,),
    "duration_s": (20.0,),
}
"""`placement`: clients on one node, or one on every node. `quick` backends take `quick_ms` for a
request, one takes `slow_ms`; `rate_rps` is of all clients together. With an equal share the slow one
is busy 62 % of the time: it keeps up, with a queue. Where a mode counts connections, each node counts
its own: spread over many nodes they are too few to tell anything. `ipvs/lc` counts those that have
ended too, `ipvs/sed` only those that are open, and of equal backends it always takes the same."""
CHOICES = {"proxy": MODES}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=3,
        factors={
            "proxy": ("iptables-legacy", "ipvs/lc"),
            "placement": ("one",),
            "duration_s": (2.0,),
        },
    )
}

MARGIN = 0.05
SATURATED = 0.9
"""Share of its time that the slow backend may be busy: beyond, the latency says how long a trial was."""
CONTROL_RPS = 10.0


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The service with backends of two speeds, in the trial's mode, and callers on every node.

    Raises UsageError for a factor that makes no load, or a load that the slow backend cannot bear.
    """
    require_positive("busy", factors, "quick", "quick_ms", "slow_ms", "rate_rps", "duration_s")
    used = float(factors["rate_rps"]) * busy.fair_share(factors) * float(factors["slow_ms"]) / 1e3
    if used > SATURATED:
        raise UsageError(
            f"an equal share would keep the slow backend busy for {used:.0%} of its time",
            f"lower rate_rps or slow_ms: at most {SATURATED:.0%}",
        )
    topology = with_mode(without_names(topology), str(factors["proxy"]))
    for name, replicas in (("quick", int(factors["quick"])), ("slow", 1)):
        if name not in topology.workloads:
            raise UsageError(f"busy needs a workload {name}", "as in topologies/unequal.yaml")
        topology = with_workload(
            topology,
            name,
            replicas=replicas,
            service_time_s=float(factors[f"{name}_ms"]) / 1e3,
            server="process",
        )
    return with_clients_on_every_node(topology)


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return float(factors["duration_s"]) + 1.0


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Poisson arrivals of new connections, and a control straight to a quick pod."""
    subject = lab.subject()
    clients = subject.clients if factors["placement"] == "every" else subject.clients[:1]
    quick = next(pod for pod in subject.backends if not pod.name.startswith(busy.SLOW))
    main = LoadSpec(
        source="",
        url=subject.url(),
        rate_rps=float(factors["rate_rps"]) / len(clients),
        duration_s=float(factors["duration_s"]),
        drain_s=1.0,
        label="main",
    )
    lab.load(
        *(
            replace(main, source=client.name, seed=seed + number)
            for number, client in enumerate(clients)
        ),
        replace(
            main,
            source=subject.controls[0].name,
            url=subject.direct_url(quick, "/healthz"),
            rate_rps=CONTROL_RPS,
            seed=seed + 100,
            label="control",
        ),
    )


def measure(run: Run) -> pd.DataFrame:
    """Metrics of each trial, for trials.csv."""
    return busy.metrics(run)


def primary(run: Run) -> list[Primary]:
    """The slow backend's share."""
    return busy.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """A mode that does not notice and picks at random."""
    connections = float(factors["rate_rps"]) * float(factors["duration_s"])
    spread = share_spread(busy.fair_share(factors), connections)
    return (Pilot("equal-share", MARGIN, spread, picks=round(connections)),)


def analyse(run: Run) -> list[Finding]:
    """Whether the slow backend gets an equal share, mode by mode."""
    return busy.findings(run, HYPOTHESIS, MARGIN)


def plot(run: Run) -> Mapping[str, Any]:
    """The slow backend's share, and the latency."""
    from testbed.report.busy import figures

    return figures(run, MARGIN)
