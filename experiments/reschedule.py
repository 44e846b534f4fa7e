"""A pod moves to another node: which connections survive, with a new address and with the old one?"""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pandas as pd

from testbed.analysis import reschedule
from testbed.analysis.run import Finding, Run
from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.events import Event
from testbed.experiment.arrange import (
    require_positive,
    require_two_replicas,
    subject_workload,
    with_clients_on_every_node,
    with_timing,
    with_workload,
    without_names,
)
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.streams import kept, outage
from testbed.experiment.subjects import PodRef, Subject
from testbed.experiment.trial_lab import TrialLab
from testbed.ip import host_port
from testbed.kernel.features import Feature
from testbed.model.service import ServiceSpec
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = (
    "When a pod is moved to another node, which of its clients' connections survive, and does it"
    " matter whether it keeps its address?"
)
HYPOTHESIS = (
    "A kept address saves no TCP connection and loses no UDP socket: of the TCP connections to the"
    " moved pod none survives, its UDP sockets are all answered again, whichever address its"
    " successor has. It matters to those alone who dial the pod itself: a kept address answers them"
    " again, a new one never."
)
REFUTED_IF = "Some share is shown to be more than five percentage points from that."

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "move": ("evict", "stop-node"),
    "address": ("new", "kept"),
    "proxy": ("iptables-legacy", "nftables"),
    "monitor_period_s": (5,),
    "monitor_grace_s": (50,),
    "toleration_s": (300,),
    "grace_s": (30,),
    "replicas": (3,),
    "connections": (8,),
}
"""`move`: what sends the pod elsewhere: its node is cordoned and it is deleted, as `kubectl drain` does, or
its node loses power. `address` is its successor's; `monitor_…` and `toleration_s` are the node
controller's and the pods', `grace_s` is the termination grace period; `connections` are kept by each
client, TCP connections and UDP sockets alike."""
CHOICES = {"proxy": MODES}
STOP_NODE = "stop-node"
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=3,
        factors={
            "move": ("evict",),
            "proxy": ("iptables-legacy",),
            "monitor_period_s": (0.5,),
            "monitor_grace_s": (1,),
            "toleration_s": (1,),
        },
    )
}

MARGIN = 0.05
NEW_RPS = 100.0
KEPT_RPS = 80.0
DIRECT_RPS = 20.0
CONTROL_RPS = 20.0
TIMEOUT_S = 0.5
LEAD_IN_S = 1.0
"""Traffic before the move: every connection has been used several times by then."""
EVICTED_S = 2.0
"""From an eviction until every node knows the successor."""
PROGRAM_S = 30.0
"""How long nodes may take beyond that: seldom 1 s, but on a machine that others use."""
AFTERWARDS_S = 2.0


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject over TCP and UDP, in the trial's mode, and callers on every node.

    Raises UsageError for less than two replicas or two nodes: a pod must have somewhere to go.
    """
    require_positive("reschedule", factors, "connections", "grace_s", "toleration_s")
    require_two_replicas("reschedule", factors)
    if len(topology.nodes) < 2:
        raise UsageError("reschedule moves a pod between nodes", "give the topology at least 2")
    subject = subject_workload(topology)
    topology = with_workload(
        without_names(topology),
        subject,
        replicas=factors["replicas"],
        termination_grace_period_s=float(factors["grace_s"]),
        server="process",
    )
    topology = with_timing(
        topology,
        node_monitor_period_s=float(factors["monitor_period_s"]),
        node_monitor_grace_period_s=float(factors["monitor_grace_s"]),
        not_ready_toleration_s=float(factors["toleration_s"]),
    )
    network = topology.network.model_copy(update={"sticky_ips": factors["address"] == "kept"})
    topology = topology.model_copy(update={"network": network})
    topology = with_mode(_over_udp_too(topology, subject), str(factors["proxy"]))
    return with_clients_on_every_node(topology)


def _over_udp_too(topology: Topology, workload: str) -> Topology:
    """The subject's service on its port, for TCP and for UDP."""
    name = next(
        name
        for name, spec in topology.services.items()
        if (spec.selector or {"app": name}).get("app") == workload
    )
    spec = topology.services[name]
    first = spec.all_ports[0]
    ports = [
        {"name": protocol.lower(), "port": first.port, "protocol": protocol,
         "targetPort": first.target_port or topology.workloads[workload].port}
        for protocol in ("TCP", "UDP")
    ]  # fmt: skip
    both = ServiceSpec.model_validate({"ports": ports, "selector": {"app": workload}})
    return topology.model_copy(update={"services": {**topology.services, name: both}})


def patience_s(factors: Factors) -> float:
    """How long the successor may take to be in every node's rules."""
    if factors["move"] != STOP_NODE:
        return EVICTED_S
    names = ("monitor_period_s", "monitor_grace_s", "toleration_s")
    return sum(float(factors[name]) for name in names) + EVICTED_S


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return LEAD_IN_S + patience_s(factors) + AFTERWARDS_S + TIMEOUT_S


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Traffic of every kind; a pod moves; watched until every node knows its successor."""
    chance = random.Random(seed)
    subject = lab.subject()
    stops = factors["move"] == STOP_NODE
    victim = chance.choice(subject.backends)
    if not stops:
        lab.apply(lambda topology: _cordoned(topology, victim.node))
    callers = [
        pair
        for pair in zip(subject.clients, subject.controls, strict=True)
        if pair[0].node != victim.node
    ]
    longest_s = LEAD_IN_S + 2 * (patience_s(factors) + PROGRAM_S) + AFTERWARDS_S
    loads = lab.start_loads(
        *(
            replace(spec, seed=seed + number)
            for number, (client, control) in enumerate(callers)
            for spec in streams(subject, victim, (client, control), factors, longest_s)
        )
    )
    lab.pause(LEAD_IN_S + chance.uniform(0, float(factors["monitor_period_s"])) * stops)
    lab.note(reschedule.VICTIM, pod=victim.name, uid=victim.uid, ip=victim.ip, node=victim.node)
    moved = lab.fault(STOP_NODE if stops else "delete", victim.node if stops else victim.name)
    _watch(lab, subject, moved, 2 * patience_s(factors) + PROGRAM_S)
    for load in loads:
        load.stop()


def _cordoned(topology: Topology, node: str) -> Topology:
    spec = topology.nodes[node].model_copy(update={"unschedulable": True})
    return topology.model_copy(update={"nodes": {**topology.nodes, node: spec}})


def streams(
    subject: Subject,
    victim: PodRef,
    caller: tuple[PodRef, PodRef],
    factors: Factors,
    duration_s: float,
) -> tuple[LoadSpec, ...]:
    """What one client sends: new connections, kept ones and UDP sockets to the service, new connections
    to the moved pod's own address; and what its control sends to a pod that stays.
    """
    client, control = caller
    stays = next(pod for pod in subject.backends if pod != victim and pod.node != victim.node)
    new = replace(
        outage(subject, rate_rps=NEW_RPS, duration_s=duration_s, timeout_s=TIMEOUT_S),
        source=client.name,
    )
    lasting = kept(new, rate_rps=KEPT_RPS, connections=int(factors["connections"]))
    udp = f"udp://{host_port(subject.cluster_ip, subject.port)}/hostname"
    return (
        new,
        lasting,
        replace(lasting, label="udp", url=udp),
        replace(new, label="direct", url=subject.direct_url(victim), rate_rps=DIRECT_RPS),
        replace(
            new,
            source=control.name,
            url=subject.direct_url(stays),
            rate_rps=CONTROL_RPS,
            arrivals="poisson",
            label="control",
        ),
    )


def _watch(lab: TrialLab, subject: Subject, moved: Event, longest_s: float) -> None:
    """Wait until every node's rules hold the successor, and a little longer. Where none comes, the trial
    ends without it, and says so.
    """
    known = {pod.uid for pod in subject.backends}

    def is_successor(event: Event) -> bool:
        joins = (event.source, event.kind) == ("store", "endpoint-ready")
        return joins and event.t_ns > moved.t_ns and event.detail["uid"] not in known

    with suppress(OutOfTimeOrRoom):
        came = lab.wait_event(is_successor, longest_s)
        lab.await_programmed("endpoint-ready", came.detail["pod_ip"], came.t_ns, PROGRAM_S)
        lab.pause(AFTERWARDS_S)


def measure(run: Run) -> pd.DataFrame:
    """Metrics of each trial, for trials.csv."""
    return reschedule.metrics(run)


def primary(run: Run) -> list[Primary]:
    """The shares that survive."""
    return reschedule.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs: all connections share a fate, so that trials hardly differ."""
    return tuple(Pilot(name, MARGIN, MARGIN / 2) for name in reschedule.CLAIMS)


def analyse(run: Run) -> list[Finding]:
    """Each share against what is claimed, arm by arm."""
    return reschedule.findings(run, HYPOTHESIS, MARGIN)


def plot(run: Run) -> Mapping[str, Any]:
    """What survives; how long each kind of client went without an answer; losses."""
    from testbed.report.reschedule import figures

    return figures(run)
