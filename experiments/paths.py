"""Ways between pods: latency and throughput by pod, cluster address and node port, in each pod network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis import paths
from testbed.analysis.paths import CLUSTER, FAR, HAIRPIN, NEAR, NODE_PORT, POD
from testbed.analysis.run import Finding, Run
from testbed.errors import UsageError
from testbed.experiment.arrange import require_positive
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology

QUESTION = (
    "What does a way between two pods cost against two plain namespaces: on one node or across, by the"
    " pod's address, a cluster address or a node port, in each pod network?"
)
HYPOTHESIS = (
    "What a service costs is paid by a connection's first packet: in every pod network later packets"
    " take as long, and one stream carries as much, by the cluster address or a node port as by the"
    " pod's own address, to within 10 %."
)
REFUTED_IF = "In some pod network one of the two is shown to differ by more than that."

FACTORS: dict[str, tuple[Value, ...]] = {
    "network": ("host-gw", "vxlan", "weave", "bgp"),
    "proxy": ("iptables-nft",),
    "rounds": (5,),
    "connections": (20,),
    "packets": (4,),
    "stream_s": (0.3,),
    "warm_s": (0.1,),
}
"""`network` is how pods on two nodes reach each other. In each of the `rounds` every way is measured once, the
plain one among them: `connections` that carry some `packets` each, then one stream for `stream_s`, of which
`warm_s` before do not count."""
CHOICES = {"proxy": tuple(mode for mode in MODES if mode != "external")}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=5,
        factors={
            "network": ("host-gw", "vxlan"),
            "rounds": (1,),
            "stream_s": (0.1,),
            "warm_s": (0.05,),
        },
    )
}

MARGIN = math.log(1.1)
SPREAD = {"same-later-packets": 0.04, "same-throughput": 0.08}
"""Standard deviation of those logarithms between trials."""
CLIENT, FIRST_PORT = "client", 5001
SERVERS = {NEAR: "near", FAR: "far", HAIRPIN: CLIENT}
"""Who answers on each route: a workload of one pod, and the service before it."""
SETTING_UP_S = 0.05
"""A way's handshakes, its stream's two processes."""


def topology(factors: Factors) -> Topology:
    """Two nodes: a client and a pod on the one, a pod on the other, a service before each of the three.

    Raises UsageError for a factor that measures nothing.
    """
    require_positive("paths", factors, "rounds", "connections", "packets", "stream_s", "warm_s")
    if int(factors["packets"]) > 8:
        raise UsageError(
            "paths times at most 8 packets on a connection",
            "TCP acknowledges later ones with a delay of its own",
        )
    port = {"port": FIRST_PORT, "targetPort": FIRST_PORT}
    made = Topology.model_validate(
        {
            "name": "paths",
            "network": {"cni": factors["network"]},
            "dns": {"replicas": 0},
            "nodes": {"n1": {}, "n2": {}},
            "workloads": {CLIENT: {"node": "n1"}, "near": {"node": "n1"}, "far": {"node": "n2"}},
            "services": {name: {"type": "NodePort", "ports": [port]} for name in SERVERS.values()},
        }
    )
    return with_mode(made, str(factors["proxy"]))


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    one_s = SETTING_UP_S + float(factors["stream_s"]) + float(factors["warm_s"])
    return (1 + len(paths.WAYS)) * float(factors["rounds"]) * one_s


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Every way in every round, in a random order."""
    lab.subject()
    names = ("rounds", "connections", "packets", "stream_s", "warm_s")
    settings = {name: factors[name] for name in names}
    rows = lab.paths(f"{CLIENT}-0", ways(lab.inspect()), seed=seed, **settings)
    lab.note(paths.NOTE, rows=rows)


def ways(view: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is dialled on each way, and who serves there; `view` is `inspect`'s."""
    pods = {pod["name"]: pod for pod in view["pods"]}
    nodes = {node["name"]: node["addresses"][0] for node in view["nodes"]}
    services = {service["name"]: service for service in view["services"]}
    found = {}
    for route, server in SERVERS.items():
        pod, service = pods[f"{server}-0"], services[server]
        node_port = service["ports"][0]["nodePort"]
        dialled = {
            POD: [pod["ip"], FIRST_PORT],
            CLUSTER: [service["clusterIP"], FIRST_PORT],
            NODE_PORT: [nodes[pod["node"]], node_port],
        }
        for what, address in dialled.items():
            if f"{route}/{what}" in paths.WAYS:
                serve = {"serve": pod["name"], "port": FIRST_PORT}
                found[f"{route}/{what}"] = {"dial": address, **serve}
    return found


def measure(run: Run) -> pd.DataFrame:
    """Ratios to the plain way of each trial, for trials.csv."""
    return paths.metrics(run)


def primary(run: Run) -> list[Primary]:
    """The ratios of services to pods."""
    return paths.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs; all four ways by a service must show it."""
    return tuple(
        Pilot(name, MARGIN, spread, scale="log", together=len(paths.COMPARED))
        for name, spread in SPREAD.items()
    )


def analyse(run: Run) -> list[Finding]:
    """Later packets and throughput by a service against straight to its pod, arm by arm."""
    return paths.findings(run, HYPOTHESIS, MARGIN)


def plot(run: Run) -> Mapping[str, Any]:
    """Every way over the plain one; services against pods."""
    from testbed.report.paths import figures

    return figures(run, MARGIN)
