"""What a proxy mode costs with many services: full sync, one endpoint, first packet, memory, CPU."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis import growth
from testbed.analysis.growth import Measure
from testbed.analysis.run import Finding, Run
from testbed.experiment.arrange import require_positive
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology
from testbed.traffic import handshakes

QUESTION = "How do sync times, the first packet, memory and CPU grow with the number of services?"
HYPOTHESIS = (
    "The time of a one-endpoint change and the first packet's latency do not depend on the number"
    " of services: the exponent of the fitted power law is within 0.1 of 0."
)
REFUTED_IF = "In some mode one of the two is shown to grow with an exponent above 0.1."

FACTORS: dict[str, tuple[Value, ...]] = {
    "proxy": ("iptables-legacy", "iptables-nft", "nftables"),
    "services": (10, 100, 1000, 10_000),
    "endpoints": (5,),
    "changes": (5,),
    "connections": (200,),
}
"""`endpoints` are those of each service, `changes` how many backends of the one that is dialled
crash, one after the other, `connections` how often it is dialled, and a pod directly in between."""
CHOICES = {"proxy": MODES}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
KEEP_RULES = False
PROFILES = {
    "smoke": Profile(
        repeats=3,
        factors={
            "proxy": ("iptables-legacy", "nftables"),
            "services": (10, 300),
            "changes": (1,),
            "connections": (100,),
        },
    )
}

MEASURES = (
    Measure("full_sync_ms", "full sync, the rule tool's part", "ms"),
    Measure("change_sync_ms", "one endpoint, the rule tool's part", "ms"),
    Measure("change_ms", "one endpoint, from the write to rules in force", "ms", margin=0.1),
    Measure(
        "first_packet_us", "first packet: SYN to SYN-ACK by way of the service", "µs", margin=0.1
    ),
    Measure("first_packet_over_direct", "first packet over the direct way", ""),
    Measure("memory_mib", "memory of the control plane", "MiB"),
    Measure("cpu_start_s", "CPU until the first rules stand", "s"),
    Measure("cpu_change_ms", "CPU for one changed endpoint", "ms"),
)
SPREAD = 0.05
"""Standard deviation of an exponent between blocks."""
SUBJECT = "web"
CLIENT = "client"
PATIENCE_S = 120.0
SUPERVISOR = 2
"""Its process id in every lab."""


def topology(factors: Factors) -> Topology:
    """One node with a client and the service that it dials, among services that nobody dials.

    The proxy need not wait between syncs, so that each change is a sync of its own.
    Raises UsageError for a factor that is not above 0.
    """
    require_positive("scale", factors, "services", "endpoints", "changes", "connections")
    crowd = int(factors["services"]) - 1
    made = Topology.model_validate(
        {
            "name": "scale",
            "network": {"podCIDR": "10.64.0.0/10", "serviceCIDR": "10.0.0.0/10"},
            "proxy": {"minSyncPeriod": "1ms"},
            "dns": {"replicas": 0},
            "nodes": {"n1": {}},
            "workloads": {
                SUBJECT: {"replicas": int(factors["endpoints"]), "server": "process"},
                CLIENT: {"replicas": 1},
            },
            "services": {SUBJECT: {"port": 80, "targetPort": 8080}},
            "manifests": [
                manifest
                for index in range(crowd)
                for manifest in _service(index, int(factors["endpoints"]))
            ],
        }
    )
    return with_mode(made, str(factors["proxy"]))


def _service(index: int, endpoints: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A service without a selector, and the endpoints that it has for good; no pod is behind them."""
    name = f"crowd-{index:05d}"
    first = index * endpoints
    addresses = [
        f"10.120.{at // 250 % 250}.{at % 250 + 1}" for at in range(first, first + endpoints)
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "crowd"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }
    endpoint_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-a",
            "namespace": "crowd",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080 + first // 62_500, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": True}} for address in addresses
        ],
    }
    return service, endpoint_slice


def estimate_s(factors: Factors) -> float:
    """How long a trial takes on average, without its lab."""
    return 3.0 * float(factors["changes"]) + float(factors["services"]) / 500


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Dial the service and a pod in turn; then crash backends, and see when the rules know."""
    subject = lab.subject()
    lab.note("resources", at="start", **_resources(lab))
    plan = {
        "targets": {
            "service": [subject.cluster_ip, subject.port],
            "direct": [subject.backends[0].ip, subject.target_port],
        },
        "connections": int(factors["connections"]),
    }
    argv = [sys.executable, "-m", handshakes.__name__, json.dumps(plan)]
    done = lab.exec(f"{CLIENT}-0", argv, PATIENCE_S)
    lab.note("handshakes", **handshakes.parse(done.stdout, done.returncode, done.stderr))
    chance = random.Random(seed)
    for victim in chance.sample(
        subject.backends, min(int(factors["changes"]), len(subject.backends))
    ):
        before = _resources(lab)
        fault = lab.fault("crash", victim.name)
        for kind in ("endpoint-not-ready", "endpoint-ready"):
            lab.await_programmed(kind, victim.ip, fault.t_ns, PATIENCE_S)
        lab.note("resources", at="change", before=before, after=_resources(lab))


def _resources(lab: TrialLab) -> dict[str, float]:
    """CPU seconds of the control plane and of the tools it ran, and its resident memory in MiB."""
    done = lab.exec("n1", ["cat", f"/proc/{SUPERVISOR}/stat", f"/proc/{SUPERVISOR}/status"])
    return growth.resources(done.stdout)


def measure(run: Run) -> pd.DataFrame:
    """Times, memory and CPU of each trial, for trials.csv."""
    return growth.metrics(run)


def primary(run: Run) -> list[Primary]:
    """The exponents that the hypothesis is about."""
    return growth.primaries(run, measure(run), MEASURES)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs."""
    return tuple(
        Pilot(growth.name_of(one), one.margin, SPREAD, over="services")
        for one in MEASURES
        if one.margin
    )


def analyse(run: Run) -> list[Finding]:
    """For each mode, the exponent of what the hypothesis is about."""
    return growth.findings(run, measure(run), MEASURES, HYPOTHESIS)


def plot(run: Run) -> Mapping[str, Any]:
    """Every measure against the number of services, modes side by side, with the fitted law."""
    from testbed.report.growth import figures

    return figures(run, measure(run), MEASURES)
