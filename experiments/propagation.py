"""Nodes hear of a withdrawn backend at different times: who still sends to it, and until when?"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from testbed.analysis import propagation
from testbed.analysis.run import Finding, Run
from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.events import Event
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
from testbed.experiment.subjects import PodRef, live_nodes
from testbed.experiment.trial_lab import TrialLab, has_programmed
from testbed.kernel.features import Feature
from testbed.model import fakes
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = (
    "When nodes hear of a withdrawn backend at different times, who still sends new connections to"
    " it, and until when?"
)
HYPOTHESIS = (
    "A node goes on for exactly as long as it hears late: from the write of the withdrawal to its"
    " last new connection to the backend is its own watch delay, to within 250 ms, whatever the"
    " other nodes do."
)
REFUTED_IF = "Some node is shown to go on for 250 ms more, or less, than its delay."

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "delay_s": (0.5, 2.0),
    "jitter_s": (0.0,),
    "reorder": (0.0,),
    "replicas": (3,),
    "rate_rps": (150.0,),
}
"""`delay_s` is the last node's; the first hears at once, those between evenly spaced. `jitter_s` is of
every delayed node, `reorder` the share of changes that overtakes; `rate_rps` is of each client."""
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {"smoke": Profile(repeats=5, factors={"delay_s": (1.0,)})}

MARGIN_S = 0.25
SPREAD_S = 0.1
"""Standard deviation between trials of how long a node goes on beyond its delay."""
LEAD_IN_S = 1.5
"""Traffic before the fault; it is longer than a sync period, so that no node's rules wait for one."""
SETTLE_S = 1.0
"""Traffic after the last node has heard: it shows that nobody goes on."""
PROBE = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1}
DETECT_S = 30.0
"""How long a hang may take to be seen: with that probe less than 3 s, but for a machine that others use."""
PROGRAM_S = 30.0
"""What a node may need beyond its delay, likewise."""
TIMEOUT_S = 0.5


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject with its replicas and a probe that soon sees a hang, and callers on every node.

    Raises UsageError for delays that cannot be, for one node, or a factor that makes no load.
    """
    require_positive("propagation", factors, "delay_s", "replicas", "rate_rps")
    require_two_replicas("propagation", factors)
    if len(fakes.live_nodes(topology)) < 2:
        raise UsageError("propagation compares nodes", "give the topology at least 2")
    topology = with_workload(
        without_names(topology),
        subject_workload(topology),
        replicas=factors["replicas"],
        readiness_probe=PROBE,
        server="process",
    )
    return with_clients_on_every_node(topology)


def delays_s(nodes: list[str], longest_s: float) -> dict[str, float]:
    """How late each node hears: from not at all to the longest, evenly spaced."""
    return {name: longest_s * at / (len(nodes) - 1) for at, name in enumerate(sorted(nodes))}


def estimate_s(factors: Factors) -> float:
    """How long a trial takes on average, without its lab."""
    return LEAD_IN_S + 1.5 + float(factors["delay_s"]) + SETTLE_S + TIMEOUT_S


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """New connections from every node; one backend hangs, is found out and withdrawn; the nodes hear
    of it one after the other.
    """
    chance = random.Random(seed)
    subject = lab.subject()
    victim = chance.choice(subject.backends)
    late = delays_s([node["name"] for node in live_nodes(lab.inspect())], float(factors["delay_s"]))
    for number, (node, delay_s) in enumerate(late.items()):
        if delay_s:
            jitter_s = min(float(factors["jitter_s"]), delay_s)
            reorder = float(factors["reorder"])
            lab.fault("delay-watch", node, delay_s=delay_s, jitter_s=jitter_s, reorder=reorder,
                      seed=seed + number)  # fmt: skip
    longest_s = LEAD_IN_S + DETECT_S + float(factors["delay_s"]) + PROGRAM_S + SETTLE_S
    loads = lab.start_loads(
        *(
            LoadSpec(
                source=client.name,
                url=subject.url(),
                rate_rps=float(factors["rate_rps"]),
                duration_s=longest_s,
                timeout_s=TIMEOUT_S,
                drain_s=TIMEOUT_S,
                seed=seed + number,
                label="main",
            )
            for number, client in enumerate(subject.clients)
        ),
        LoadSpec(
            source=subject.controls[0].name,
            url=subject.direct_url(next(pod for pod in subject.backends if pod != victim)),
            rate_rps=20.0,
            duration_s=longest_s,
            seed=seed + 100,
            label="control",
        ),
    )
    lab.pause(LEAD_IN_S + chance.uniform(0.0, 1.0))
    fault = lab.fault("hang", victim.name)
    _watch(lab, fault, victim, list(late), float(factors["delay_s"]) + PROGRAM_S)
    for load in loads:
        load.stop()


def _watch(
    lab: TrialLab, fault: Event, victim: PodRef, nodes: list[str], patience_s: float
) -> None:
    """Wait until every node has programmed the withdrawal, and a little longer."""
    try:
        withdrawn = lab.wait_event(
            lambda event: (
                (event.source, event.kind) == ("store", "endpoint-not-ready")
                and event.t_ns >= fault.t_ns
                and event.detail["pod_ip"] == victim.ip
            ),
            DETECT_S,
        )
        for node in nodes:
            lab.wait_event(partial(has_programmed, node=node, write=withdrawn), patience_s)
    except OutOfTimeOrRoom:
        return  # what was not reached is recorded as censored
    lab.pause(SETTLE_S)


def measure(run: Run) -> pd.DataFrame:
    """Metrics of each trial, for trials.csv."""
    return propagation.metrics(run)


def primary(run: Run) -> list[Primary]:
    """How long each node goes on."""
    return propagation.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs; all of the topology's three nodes must show it."""
    return (Pilot("stale-as-delayed", MARGIN_S, SPREAD_S, "s", together=3),)


def analyse(run: Run) -> list[Finding]:
    """Whether each node's staleness equals its delay, arm by arm."""
    return propagation.findings(run, HYPOTHESIS, MARGIN_S)


def plot(run: Run) -> Mapping[str, Any]:
    """Shares over time, node by node; staleness against delay."""
    from testbed.report.propagation import figures

    return figures(run, MARGIN_S)
