"""Kept connections: balanced by connection at a service's address, by request at an ingress controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis import ingress
from testbed.analysis.reuse import random_cv_spread
from testbed.analysis.run import Finding, Run
from testbed.errors import UsageError
from testbed.experiment import streams
from testbed.experiment.arrange import (
    require_positive,
    subject_workload,
    with_clients_on_every_node,
    with_workload,
    without_names,
)
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.subjects import Subject, pods_of
from testbed.experiment.trial_lab import TrialLab
from testbed.ip import host_port
from testbed.kernel.features import Feature
from testbed.model.ingress import Ingress
from testbed.model.ingress_objects import NAME, NAMESPACE
from testbed.model.topology import Topology

QUESTION = "Where connections are kept alive, does balancing by request spread what they carry?"
HYPOTHESIS = (
    "Through an ingress controller requests are even however many a connection carries; by the"
    " service's address they are as uneven as a random backend for each connection makes them. Both"
    " to within 0.05 in the coefficient of variation over the backends."
)
REFUTED_IF = "On some way it is shown to be more than 0.05 away from that."

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "via": (ingress.SERVICE, ingress.INGRESS),
    "reuse": (1, 10, 100),
    "balance": ("roundrobin",),
    "replicas": (3,),
    "rate_rps": (300.0,),
    "duration_s": (12.0,),
}
"""`via`: the service's address (L4), or the ingress controller (L7); `reuse`: requests that a client's
connection carries; `balance`: the controller's; `rate_rps` is of all clients together."""
CHOICES = {
    "via": (ingress.SERVICE, ingress.INGRESS),
    "balance": ("roundrobin", "static-rr", "leastconn", "random"),
}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK, Feature.HAPROXY})
TIMING = False
PROFILES = {
    "smoke": Profile(
        repeats=5,
        factors={"reuse": (20,), "rate_rps": (1000.0,), "duration_s": (1.5,)},
    )
}

MARGIN = 0.05
CONTROL_RPS = 20.0


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject with its replicas, callers on every node, and a controller whose default backend it is.

    Raises UsageError for a factor that makes no load, and for a topology that has a controller already.
    """
    require_positive("ingress", factors, "reuse", "replicas", "rate_rps", "duration_s")
    if topology.ingress is not None:
        raise UsageError(f"topology {topology.name} has an ingress controller already")
    workload = subject_workload(topology)
    service = next(iter(topology.services))
    topology = with_workload(
        without_names(topology), workload, replicas=factors["replicas"], server="process"
    )
    topology = with_clients_on_every_node(topology)
    port = topology.services[service].all_ports[0].port
    spec = {"defaultBackend": {"service": {"name": service, "port": {"number": port}}}}
    item = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": service, "namespace": topology.services[service].namespace},
        "spec": spec,
    }
    # Its own checks of endpoints would be connections among those that are measured.
    controller = Ingress.model_validate({"checkInterval": 0, "balance": factors["balance"]})
    return topology.model_copy(
        update={"ingress": controller, "manifests": (*topology.manifests, item)}
    )


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return float(factors["duration_s"])


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Poisson arrivals of requests from every node, on connections that carry `reuse` of them."""
    subject = lab.subject()
    url = _url(lab, subject, str(factors["via"]))
    lab.load(*streams.reused(subject, url, factors, CONTROL_RPS, seed))


def _url(lab: TrialLab, subject: Subject, via: str) -> str:
    if via == ingress.SERVICE:
        return subject.url()
    controller = pods_of(lab.inspect())[f"{NAMESPACE}/{NAME}-0"]
    return f"http://{host_port(controller.ip, Ingress().http_port)}/hostname"


def measure(run: Run) -> pd.DataFrame:
    """Metrics of each trial, for trials.csv."""
    return ingress.metrics(run)


def primary(run: Run) -> list[Primary]:
    """How much more uneven requests are than their balancer promises."""
    return ingress.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """Random picks of connections scatter; a round robin of requests hardly does: one request each."""
    requests = float(factors["rate_rps"]) * float(factors["duration_s"])
    replicas = int(factors["replicas"])
    if factors["via"] == ingress.SERVICE:
        spread = random_cv_spread(requests / int(factors["reuse"]), replicas)
    else:
        spread = replicas / requests
    return (Pilot("as-promised", MARGIN, spread),)


def analyse(run: Run) -> list[Finding]:
    """Whether requests are as even as their balancer promises, arm by arm."""
    return ingress.findings(run, HYPOTHESIS, MARGIN)


def plot(run: Run) -> Mapping[str, Any]:
    """Unevenness of requests by how many of them a connection carries, both ways."""
    from testbed.report.ingress import figures

    return figures(run)
