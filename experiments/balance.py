"""Does each backend of a service get its share: of connections, of requests, from every node?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis import balance
from testbed.analysis.power import share_spread
from testbed.analysis.run import Finding, Run
from testbed.experiment.arrange import (
    require_positive,
    subject_workload,
    with_clients_on_every_node,
    with_workload,
    without_names,
)
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = "Does each backend get its share, per client node and overall?"
HYPOTHESIS = (
    "Each backend's share is 1/replicas to within one percentage point, over all clients and from"
    " every single client node, of connections and of requests."
)
REFUTED_IF = "Some share is shown to be more than one percentage point away from 1/replicas."

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "replicas": (3,),
    "placement": ("one", "every"),
    "reuse": (1, 20),
    "rate_rps": (1000.0,),
    "duration_s": (12.0,),
}
"""`placement`: clients on one node, or one on every node; the rate is of all clients together.
`reuse`: requests per connection. 12,000 connections from one address leave more than half of its
28,000 ports unused, so that none must be used again while the kernel still knows it."""
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = False
PROFILES = {
    "smoke": Profile(
        repeats=5,
        factors={"reuse": (1,), "rate_rps": (3000.0,), "duration_s": (3.0,)},
    )
}

MARGIN = 0.01
"""One percentage point (MEASURING.md, Verdicts)."""
CONTROL_RPS = 50.0
"""Enough to see the generator's lag, too little to add to the load."""


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject with as many replicas as the trial wants, each a process of its own, and a pod on
    each node to call it.

    Raises UsageError for a factor that makes no load.
    """
    require_positive("balance", factors, "replicas", "reuse", "rate_rps", "duration_s")
    topology = with_workload(
        without_names(topology),
        subject_workload(topology),
        replicas=factors["replicas"],
        server="process",
    )
    return with_clients_on_every_node(topology)


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return float(factors["duration_s"])


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Poisson arrivals on the service, and beside them a control straight to a pod."""
    subject = lab.subject()
    clients = subject.clients if factors["placement"] == "every" else subject.clients[:1]
    duration_s = float(factors["duration_s"])
    lab.load(
        *(
            LoadSpec(
                source=client.name,
                url=subject.url(),
                rate_rps=float(factors["rate_rps"]) / len(clients),
                reuse=int(factors["reuse"]),
                duration_s=duration_s,
                seed=seed + number,
                label="main",
            )
            for number, client in enumerate(clients)
        ),
        LoadSpec(
            source=subject.controls[0].name,
            url=subject.direct_url(subject.control_for(clients[0])),
            rate_rps=CONTROL_RPS,
            duration_s=duration_s,
            seed=seed + len(clients),
            label="control",
        ),
    )


def measure(run: Run) -> pd.DataFrame:
    """Metrics of each trial, for trials.csv."""
    return balance.metrics(run)


def primary(run: Run) -> list[Primary]:
    """The shares that the verdicts are about."""
    return balance.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """A fair random balancer: shares scatter as its connections are few. Every backend must get its
    share, and from every one of the topology's three nodes.
    """
    backends = int(factors["replicas"])
    connections = float(factors["rate_rps"]) * float(factors["duration_s"]) / int(factors["reuse"])
    nodes = 3 if factors["placement"] == "every" else 1

    def shares(name: str, picks: float, together: int) -> Pilot:
        spread = share_spread(1 / backends, picks)
        return Pilot(name, MARGIN, spread, together=together, picks=round(picks))

    found = [
        shares("share-overall", connections, backends),
        shares("share-per-node", connections / nodes, backends * nodes),
    ]
    if int(factors["reuse"]) > 1:
        found.append(shares("share-of-requests", connections, backends))
    return tuple(found)


def analyse(run: Run) -> list[Finding]:
    """Equivalence of every share with its expected share, per client scope and unit."""
    return balance.findings(run, HYPOTHESIS, MARGIN)


def plot(run: Run) -> Mapping[str, Any]:
    """Shares with the bands of ideal balancers, and which pick follows which."""
    from testbed.report.balance import figures

    return figures(run)
