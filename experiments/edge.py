"""A node lost behind a load balancer: how connections come in by each provider, and what is lost."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from testbed.analysis import edge
from testbed.analysis.edge import LOST, WAYS, is_notice
from testbed.analysis.lost_shares import share_pilots
from testbed.analysis.run import Finding, Run
from testbed.claims.edge_lab import PROBE, PROGRAMS, PROVIDERS, balancer, names
from testbed.edge.doors import OUTSIDE
from testbed.edge.matrix import FIRST_TTL
from testbed.errors import OutOfTimeOrRoom, TestbedError
from testbed.experiment.arrange import require_positive, with_clients_on_every_node
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.streams import kept, outage
from testbed.experiment.subjects import PodRef, Subject
from testbed.experiment.trial_lab import TrialLab, has_programmed, is_write
from testbed.kernel.features import Feature
from testbed.model.cloud import CADENCES
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = (
    "How do connections come in by a load balancer's address, and what does the loss of a node cost: until"
    " the way in avoids it, until its endpoints are withdrawn, and from then on?"
)
HYPOTHESIS = (
    "With policy Local nothing is lost (to within one point) once the way in avoids the node. With Cluster"
    " other nodes go on sending the lost one its share of backends (to within ten points) until their rules"
    " have lost its endpoints; from then on nothing is lost either."
)
REFUTED_IF = "Some share is shown to be further from that than its margin."

FACTORS: dict[str, tuple[Value, ...]] = {
    "provider": ("l2", "bgp", "haproxy", "nftables"),
    "policy": ("Cluster", "Local"),
    "proxy": ("iptables-nft",),
    "check_interval_s": (8.0,),
    "check_failures": (3,),
    "monitor_period_s": (5.0,),
    "monitor_grace_s": (50.0,),
    "hold_s": (5.0,),
    "rate_rps": (100.0,),
}
"""`provider`: of the address, a cloud's named after its program, which checks nodes each `check_interval_s`
and gives one up after so many `check_failures` (GCE's are the default). `hold_s` is how long traffic goes on
once all is over; `rate_rps` of new connections from outside."""
CHOICES = {
    "provider": PROVIDERS,
    "proxy": tuple(mode for mode in MODES if mode != "external"),
    "policy": ("Cluster", "Local"),
}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=2,
        factors={
            "provider": ("haproxy",),
            "check_interval_s": (0.25,),
            "check_failures": (2,),
            "monitor_period_s": (0.5,),
            "monitor_grace_s": (1.5,),
            "hold_s": (0.5,),
        },
    )
}

WALKER = "walker"
"""Dials beside the client, whose connections are all accounted for."""
NODES = ("n1", "n2", "n3")
"""A backend is on each."""
GONE = 1 / len(NODES)
MARGINS = (0.1, 0.01)
"""Of losing that share, and of losing nothing."""
KEPT_RPS, KEPT_CONNECTIONS = 50.0, 8
CONTROL_RPS = 20.0
TIMEOUT_S = 0.5
LEAD_IN_S = 0.5
DIALS = 12
"""Connections that are followed on their way before the loss."""
PROGRAM_S = 20.0
"""The latest that rules follow, on a busy machine too: whoever waits, waits for an event."""
NOTICE_S = {"l2": 20.0, "bgp": 5.0}
"""The latest that is expected of others than clouds."""
_LONGEST_CHECK_S = 1.0


def topology(factors: Factors) -> Topology:
    """Three nodes with a backend each behind one address, callers on all, a client outside.

    Raises UsageError for a factor that is not above 0.
    """
    numbers = ("check_interval_s", "monitor_period_s", "monitor_grace_s", "hold_s", "rate_rps")
    require_positive("edge", factors, *numbers, "check_failures")
    provider = str(factors["provider"])
    made: dict[str, Any] = {
        "name": "edge",
        "dns": {"replicas": 0},
        "timing": {
            "nodeMonitorPeriod": f"{factors['monitor_period_s']}s",
            "nodeMonitorGracePeriod": f"{factors['monitor_grace_s']}s",
        },
        "nodes": {node: {} for node in NODES},
        "hosts": {OUTSIDE: {}, WALKER: {}},
        "loadBalancer": balancer(provider),
        # In mode ipvs every node has the balancer's address, and would answer ARP for it, too.
        "proxy": {"ipvs": {"strictARP": True}},
        "workloads": {
            f"web-{node}": {"node": node, "labels": {"serves": "web"}, "server": "process"}
            for node in NODES
        },
        "services": {
            "web": {
                "type": "LoadBalancer",
                "port": 80,
                "targetPort": 8080,
                "selector": {"serves": "web"},
                "externalTrafficPolicy": factors["policy"],
            }
        },
    }
    if provider in PROGRAMS:
        made["loadBalancer"]["cloud"]["healthCheck"] = {
            "interval": f"{factors['check_interval_s']}s",
            "timeout": f"{check_timeout_s(factors)}s",
            "unhealthyThreshold": factors["check_failures"],
        }
    if provider == "bgp":
        made["network"] = {"bgp": {"bfd": True, "gracefulRestart": False, "holdTime": "90s"}}
        made["routers"] = {"r1": {"asn": 64500}}
        made["links"] = [
            *({"endpoints": [node, "tor1"]} for node in NODES),
            {"endpoints": ["tor1", "r1"]},
            {"endpoints": ["r1", OUTSIDE]},
            {"endpoints": ["r1", WALKER]},
        ]
    return with_clients_on_every_node(
        with_mode(Topology.model_validate(made), str(factors["proxy"]))
    )


def check_timeout_s(factors: Factors) -> float:
    """GCE's, or as long as it is until the next check."""
    return min(CADENCES["gce"].timeout_s, float(factors["check_interval_s"]))


def noticed_s(factors: Factors) -> float:
    """The latest that the way in avoids the node."""
    interval_s = float(factors["check_interval_s"])
    checks_s = interval_s * (int(factors["check_failures"]) + 1) + _LONGEST_CHECK_S
    return NOTICE_S.get(str(factors["provider"]), checks_s)


def withdrawn_s(factors: Factors) -> float:
    """The latest that the node is found silent."""
    return float(factors["monitor_period_s"]) + float(factors["monitor_grace_s"])


def estimate_s(factors: Factors) -> float:
    """How long a trial takes on average, without its lab."""
    over_s = max(noticed_s(factors) * 0.7, withdrawn_s(factors))
    return LEAD_IN_S + 0.5 + over_s + 0.5 + float(factors["hold_s"])


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Traffic from outside; a node that takes part of it loses its power."""
    chance = random.Random(seed)
    subject = lab.subject()
    view = lab.inspect()
    (service,) = (one for one in view["services"] if one["name"] == "web")
    address, provider = str(service["loadBalancerIPs"][0]), str(factors["provider"])
    ways = followed(lab, view, address, str(factors["policy"]))
    lab.note(WAYS, ways=ways)
    victim = ways[0][1]
    longest_s = LEAD_IN_S + 3 * (noticed_s(factors) + withdrawn_s(factors) + PROGRAM_S)
    loads = lab.start_loads(*streams(subject, address, victim, (factors, longest_s, seed)))
    lab.pause(LEAD_IN_S + chance.uniform(0, min(1.0, float(factors["monitor_period_s"]))))
    lab.note(
        LOST,
        victim=victim,
        address=address,
        provider=provider,
        policy=factors["policy"],
        backends=[pod.node for pod in subject.backends],
    )
    lost = lab.fault("stop-node", victim)
    with suppress(OutOfTimeOrRoom):
        lab.wait_event(
            lambda event: event.t_ns >= lost.t_ns and is_notice(event, provider, victim, address),
            noticed_s(factors) + PROGRAM_S,
        )
    _await_withdrawn(lab, subject, victim, (lost.t_ns, withdrawn_s(factors)))
    lab.pause(float(factors["hold_s"]))
    for load in loads:
        load.stop()


def followed(lab: TrialLab, view: Mapping[str, Any], address: str, policy: str) -> list[list[Any]]:
    """[pod's node, node by which it came in, whom the pod saw, how often the reply was routed] of some
    connections from outside, where OUTSIDE stands for who dialled. Raises TestbedError.
    """
    target = {"host": address, "port": 80, "attempts": DIALS, "timeout_s": 20.0, "watch": True}
    argv = [sys.executable, "-S", "-E", str(PROBE), json.dumps([target])]
    done = lab.exec(WALKER, argv, timeout_s=60.0)
    if done.returncode:
        raise TestbedError(f"the probe failed: {done.stderr.strip()[-200:]}")
    ips, _ = names(lab, view)
    homes = {pod["name"]: pod["node"] for pod in view["pods"]}
    found = []
    for one in json.loads(done.stdout)[0]:
        if one["error"]:
            raise TestbedError(f"{address} did not answer: {one['error']}")
        home, seen = homes[one["who"]], ips.get(one["seen"], one["seen"])
        entry = home if policy == "Local" or seen not in NODES else seen
        seen = OUTSIDE if seen == WALKER else seen
        found.append([home, entry, seen, FIRST_TTL - one["ttl"]])
    return found


def streams(
    subject: Subject, address: str, victim: str, settings: tuple[Factors, float, int]
) -> tuple[LoadSpec, ...]:
    """From outside new connections and requests on kept ones; a control inside, between nodes that stay."""
    factors, longest_s, seed = settings
    new = replace(
        outage(
            subject,
            rate_rps=float(factors["rate_rps"]),
            duration_s=longest_s,
            timeout_s=TIMEOUT_S,
            seed=seed,
        ),
        source=OUTSIDE,
        url=f"http://{address}/hostname",
    )
    control = next(pod for pod in subject.controls if pod.node != victim)
    stays = next(pod for pod in subject.backends if pod.node not in {victim, control.node})
    return (
        new,
        kept(new, rate_rps=KEPT_RPS, connections=KEPT_CONNECTIONS),
        replace(
            new,
            source=control.name,
            url=subject.direct_url(stays),
            rate_rps=CONTROL_RPS,
            arrivals="poisson",
            label="control",
        ),
    )


def _await_withdrawn(
    lab: TrialLab, subject: Subject, victim: str, since: tuple[float, float]
) -> None:
    """Wait until the rules of all other nodes have lost the victim's endpoints; what is not reached is
    recorded as censored. `since`: from which instant, and how long it may take.
    """
    since_ns, patience_s = since
    gone: Sequence[PodRef] = [pod for pod in subject.backends if pod.node == victim]
    with suppress(OutOfTimeOrRoom):
        for pod in gone:
            write = lab.wait_event(
                partial(is_write, kind="endpoint-not-ready", ip=pod.ip, since_ns=since_ns),
                patience_s + PROGRAM_S,
            )
            for node in NODES:
                if node != victim:
                    lab.wait_event(partial(has_programmed, node=node, write=write), PROGRAM_S)


def measure(run: Run) -> pd.DataFrame:
    """Times, losses by phase and how connections came in, of each trial, for trials.csv."""
    return edge.metrics(run)


def primary(run: Run) -> list[Primary]:
    """The shares that are lost."""
    return edge.primaries(run, GONE, MARGINS)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """Of some hundred requests in a phase each goes to the lost node or not."""
    due = float(factors["rate_rps"]) * float(factors["hold_s"])
    return share_pilots(edge.claims_of(factors, GONE, MARGINS), due)


def analyse(run: Run) -> list[Finding]:
    """Losses in each phase against what is said of them, arm by arm; and how connections came in."""
    return edge.findings(run, HYPOTHESIS, GONE, MARGINS)


def plot(run: Run) -> Mapping[str, Any]:
    """Losses by phase, by cause and over time; the ways in."""
    from testbed.report.edge import figures

    return figures(run)
