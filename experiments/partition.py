"""A partition under load: who loses what in each of its phases, and how long until it is noticed and over?"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from testbed.analysis import partition
from testbed.analysis.lost_shares import share_pilots
from testbed.analysis.partition import APART, REACH
from testbed.analysis.run import Finding, Run
from testbed.errors import OutOfTimeOrRoom
from testbed.experiment.arrange import require_positive, with_clients_on_every_node
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.streams import kept, outage
from testbed.experiment.subjects import PodRef, Subject
from testbed.experiment.trial_lab import TrialLab, has_programmed, is_write
from testbed.kernel.features import Feature
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = (
    "When a network falls into two parts under load: what does each part lose, how long until the other"
    " one's endpoints are withdrawn, and until they are back?"
)
HYPOTHESIS = (
    "Whoever is with the control plane loses nothing (to within one point) once the other side's endpoints"
    " are withdrawn; whoever is not goes on losing the share of the backends that are out of reach (to"
    " within ten points) until the partition ends. Where both sides reach the control plane nobody notices,"
    " and both lose that share until then. Once all endpoints are back nobody loses anything."
)
REFUTED_IF = "Some share is shown to be further from that than its margin."

FACTORS: dict[str, tuple[Value, ...]] = {
    "network": ("host-gw", "vxlan", "weave", "bgp"),
    "control_plane": ("beyond", "reached"),
    "proxy": ("iptables-nft",),
    "monitor_period_s": (5,),
    "monitor_grace_s": (50,),
    "hold_s": (10,),
    "rate_rps": (100.0,),
}
"""`control_plane`: the far side has it `beyond` the partition, or it is `reached` from both sides; `hold_s` is
how long the partition lasts after it has been noticed, or could have been, and the traffic after its end;
`rate_rps` of new connections, of a client on each side."""
CHOICES = {"proxy": MODES}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK, Feature.NFTABLES_BRIDGE})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=5,
        factors={
            "network": ("host-gw",),
            "control_plane": ("beyond",),
            "monitor_period_s": (0.5,),
            "monitor_grace_s": (1,),
            "hold_s": (2,),
        },
    )
}

NODES = {"near": ("n1", "n2"), "far": ("n3", "n4")}
"""Half of the backends are on each side."""
CONTROL_PLANE = "switch"
"""Where it is on one switch."""
GONE = 0.5
MARGINS = (0.1, 0.01)
"""Of losing that share, and of losing nothing."""
KEPT_RPS, KEPT_CONNECTIONS = 50.0, 8
CONTROL_RPS = 20.0
TIMEOUT_S = 0.5
LEAD_IN_S = 1.0
PROGRAM_S = 30.0
"""How long nodes may take beyond the monitor's periods: seldom 1 s, but on a machine that others use."""
REACH_S = 0.5
"""How long a silent pair is waited for when all are asked who reaches whom. A SYN is sent again after 1 s:
where a link that heals lets both go at once, conntrack drops one, and the trial would not count."""


def topology(factors: Factors) -> Topology:
    """Four nodes with a backend each, two on each side, and clients on all.

    Raises UsageError for a factor that is not above 0.
    """
    names = ("monitor_period_s", "monitor_grace_s", "hold_s", "rate_rps")
    require_positive("partition", factors, *names)
    made = Topology.model_validate(
        {
            "name": "partition",
            "network": {"cni": factors["network"]},
            "dns": {"replicas": 0},
            "timing": {
                "nodeMonitorPeriod": f"{factors['monitor_period_s']}s",
                "nodeMonitorGracePeriod": f"{factors['monitor_grace_s']}s",
            },
            "nodes": {node: {} for nodes in NODES.values() for node in nodes},
            "workloads": {
                f"web-{node}": {"node": node, "labels": {"serves": "web"}, "server": "process"}
                for nodes in NODES.values()
                for node in nodes
            },
            "services": {"web": {"port": 80, "targetPort": 8080, "selector": {"serves": "web"}}},
        }
    )
    return with_clients_on_every_node(with_mode(made, str(factors["proxy"])))


def noticed_s(factors: Factors) -> float:
    """The latest that a far node is found silent."""
    return float(factors["monitor_period_s"]) + float(factors["monitor_grace_s"])


def estimate_s(factors: Factors) -> float:
    """How long a trial takes on average, without its lab."""
    hold_s = float(factors["hold_s"])
    return LEAD_IN_S + noticed_s(factors) + 1.0 + max(hold_s, 2 * REACH_S) + 1.0 + hold_s


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Traffic from both sides; the network is parted, held so, and healed."""
    chance = random.Random(seed)
    subject = lab.subject()
    beyond = factors["control_plane"] == "beyond"
    hold_s = float(factors["hold_s"])
    longest_s = LEAD_IN_S + 2 * noticed_s(factors) + 3 * (PROGRAM_S + hold_s + REACH_S)
    loads = lab.start_loads(*streams(subject, float(factors["rate_rps"]), longest_s, seed))
    lab.note(APART, **{side: list(nodes) for side, nodes in NODES.items()}, beyond=beyond)
    lab.pause(LEAD_IN_S + chance.uniform(0, float(factors["monitor_period_s"])))
    parted = lab.fault("partition", *groups(beyond))
    far = [pod for pod in subject.backends if pod.node in NODES["far"]]
    if beyond:
        _watch(lab, far, "endpoint-not-ready", (parted.t_ns, noticed_s(factors)), NODES["near"])
    else:
        lab.pause(noticed_s(factors))
    lab.note(REACH, rows=_reached(lab, subject))
    lab.pause(max(0.0, hold_s - REACH_S))
    healed_ns = lab.now_ns()
    lab.heal("partition")
    if beyond:
        every = tuple(node for nodes in NODES.values() for node in nodes)
        _watch(lab, far, "endpoint-ready", (healed_ns, noticed_s(factors)), every)
    lab.pause(hold_s)
    for load in loads:
        load.stop()


def streams(
    subject: Subject, rate_rps: float, duration_s: float, seed: int
) -> tuple[LoadSpec, ...]:
    """From one client of each side new connections to the service, requests on kept ones, and a control
    straight to a backend of its own side.
    """
    new = outage(subject, rate_rps=rate_rps, duration_s=duration_s, timeout_s=TIMEOUT_S)
    found: list[LoadSpec] = []
    for number, nodes in enumerate(NODES.values()):
        client, control = (
            next(pod for pod in pods if pod.node == nodes[0])
            for pods in (subject.clients, subject.controls)
        )
        stays = next(pod for pod in subject.backends if pod.node == nodes[1])
        mine = replace(new, source=client.name, seed=seed + number)
        found += [
            mine,
            kept(mine, rate_rps=KEPT_RPS, connections=KEPT_CONNECTIONS),
            replace(
                mine,
                source=control.name,
                url=subject.direct_url(stays),
                rate_rps=CONTROL_RPS,
                arrivals="poisson",
                label="control",
            ),
        ]
    return tuple(found)


def groups(beyond: bool) -> tuple[str, str]:
    """The two sides as `fault partition` takes them: whom neither names talks to both."""
    near = (*NODES["near"], CONTROL_PLANE) if beyond else NODES["near"]
    return ",".join(near), ",".join(NODES["far"])


def _watch(
    lab: TrialLab,
    pods: Sequence[PodRef],
    kind: str,
    since: tuple[float, float],
    nodes: Sequence[str],
) -> None:
    """Wait until these nodes' rules hold the write of that kind about every one of the pods; `since`: from
    which instant on, and how long it may take. What is not reached is recorded as censored.
    """
    since_ns, patience_s = since
    with suppress(OutOfTimeOrRoom):
        writes = [
            lab.wait_event(
                partial(is_write, kind=kind, ip=pod.ip, since_ns=since_ns), patience_s + PROGRAM_S
            )
            for pod in pods
        ]
        last = max(writes, key=lambda event: event.resource_version)
        for node in nodes:
            lab.wait_event(partial(has_programmed, node=node, write=last), PROGRAM_S)


def _reached(lab: TrialLab, subject: Subject) -> list[list[str]]:
    """Who reaches whom now: clients and backends, by their nodes."""
    node_of = {pod.name: pod.node for pod in (*subject.clients, *subject.backends)}
    found = lab.reachability(
        [pod.name for pod in subject.clients], [pod.name for pod in subject.backends], REACH_S
    )
    return [[node_of[one.source], node_of[one.target], one.outcome] for one in found]


def measure(run: Run) -> pd.DataFrame:
    """Losses by side and phase, and times, of each trial, for trials.csv."""
    return partition.metrics(run)


def primary(run: Run) -> list[Primary]:
    """The shares that are lost."""
    return partition.primaries(run, GONE, MARGINS)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """Of some hundred requests in a phase each goes to the other side or not."""
    due = float(factors["rate_rps"]) * float(factors["hold_s"])
    return share_pilots(partition.claims_of(factors, GONE, MARGINS), due)


def analyse(run: Run) -> list[Finding]:
    """Each side's losses in each phase against what is said of them, arm by arm."""
    return partition.findings(run, HYPOTHESIS, GONE, MARGINS)


def plot(run: Run) -> Mapping[str, Any]:
    """Losses over time, and by phase; who reaches whom meanwhile."""
    from testbed.report.partition import figures

    return figures(run)
