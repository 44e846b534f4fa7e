"""Client-side balance: addresses of pods from a headless service's name, against a cluster address."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from testbed.analysis import headless, reuse
from testbed.analysis.run import Finding, Run
from testbed.experiment.arrange import (
    require_positive,
    require_two_replicas,
    subject_workload,
    with_clients_on_every_node,
    with_workload,
)
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.names import with_chain
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.service import ServiceSpec
from testbed.model.topology import Topology
from testbed.traffic.spec import LoadSpec

QUESTION = (
    "Can names balance as well as a cluster address: how even are connections over the pods of a headless"
    " service, and who loses requests when one of them is deleted?"
)
HYPOTHESIS = (
    "A name balances as well as a cluster address: connections are as even as random picks (coefficient of"
    " variation over the pods to within 0.1), and no request fails later than 2 s after the deletion."
)
REFUTED_IF = (
    "Some way to dial, and to keep what a name led to, is shown to be less even or to lose longer."
)

TOPOLOGY = "quickstart.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "dial": ("cluster-address", "headless", "headless/first"),
    "resolve": ("each", "ttl", "once"),
    "ttl_s": (5,),
    "proxy": ("iptables-nft",),
    "replicas": (3,),
    "rate_rps": (150.0,),
    "before_s": (6.0,),
    "after_s": (9.0,),
}
"""`dial`: a service with a cluster address, a headless one, or one whose servers do not turn the addresses
(no `loadbalance`): everybody dials the first. `resolve`: for each connection, again when the TTL is over, or
once. `rate_rps` is of all clients together (one on each node), new connections all. A pod is deleted after
`before_s`."""
CHOICES = {"proxy": tuple(mode for mode in MODES if mode != "external")}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {
    "smoke": Profile(
        repeats=1,
        factors={
            "dial": ("cluster-address", "headless"),
            "resolve": ("ttl",),
            "ttl_s": (1,),
            "before_s": (1.0,),
            "after_s": (2.5,),
        },
    )
}

FIRST = "headless/first"
MARGIN_CV = 0.1
LIMIT_MS = 2_000.0
CONTROL_RPS = 20.0
TIMEOUT_S = 0.5
HEADLESS = "{workload}-pods"


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject with a headless service beside its own, a client for each load, and servers that turn the
    addresses or do not.

    Raises UsageError for a factor that makes no load, or that leaves nobody who stays.
    """
    require_positive("headless", factors, "ttl_s", "rate_rps", "before_s", "after_s")
    require_two_replicas("headless", factors)
    topology = with_mode(topology, str(factors["proxy"]))
    workload = subject_workload(topology)
    topology = with_workload(topology, workload, replicas=factors["replicas"], server="process")
    port = topology.workloads[workload].port
    pods = ServiceSpec.model_validate(
        {"port": port, "clusterIP": "None", "selector": {"app": workload}}
    )
    services = {**topology.services, HEADLESS.format(workload=workload): pods}
    topology = topology.model_copy(update={"services": services})
    turned = factors["dial"] != FIRST
    topology = with_chain(topology, ttl_s=int(factors["ttl_s"]), loadbalance=turned)
    return with_clients_on_every_node(topology)


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return float(factors["before_s"]) + float(factors["after_s"]) + 1.0


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Poisson arrivals of new connections from every client; one backend is deleted, another one comes."""
    subject = lab.subject()
    victim = random.Random(seed).choice(subject.backends)
    workload = victim.name.rpartition("-")[0]
    url = f"http://{subject.service}/hostname"
    if factors["dial"] != "cluster-address":
        url = f"http://{HEADLESS.format(workload=workload)}:{subject.target_port}/hostname"
    main = LoadSpec(
        source="",
        url=url,
        rate_rps=float(factors["rate_rps"]) / len(subject.clients),
        duration_s=float(factors["before_s"]) + float(factors["after_s"]),
        timeout_s=TIMEOUT_S,
        drain_s=TIMEOUT_S,
        resolve=str(factors["resolve"]),
        label="main",
    )
    survivor = next(pod for pod in subject.backends if pod != victim)
    loads = lab.start_loads(
        *(
            replace(main, source=client.name, seed=seed + number)
            for number, client in enumerate(subject.clients)
        ),
        replace(
            main,
            source=subject.controls[0].name,
            url=subject.direct_url(survivor),
            rate_rps=CONTROL_RPS,
            seed=seed + 100,
            label="control",
        ),
    )
    lab.pause(float(factors["before_s"]))
    lab.fault("delete", victim.name)
    for load in loads:
        load.wait()


def measure(run: Run) -> pd.DataFrame:
    """Evenness before the deletion and losses after it, for trials.csv."""
    return headless.metrics(run)


def primary(run: Run) -> list[Primary]:
    """Evenness."""
    return headless.primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """Random picks, each by itself. Who keeps an address is so far from even that few trials show it."""
    if factors["resolve"] != "each" and factors["dial"] != "cluster-address":
        return ()
    connections = float(factors["rate_rps"]) * float(factors["before_s"])
    spread = reuse.random_cv_spread(connections, int(factors["replicas"]))
    return (Pilot("as-even", MARGIN_CV, spread),)


def analyse(run: Run) -> list[Finding]:
    """Evenness and recovery, arm by arm."""
    return headless.findings(run, HYPOTHESIS, MARGIN_CV, LIMIT_MS)


def plot(run: Run) -> Mapping[str, Any]:
    """Evenness, what the deletion cost, and requests that failed around it."""
    from testbed.report.headless import figures

    return figures(run, MARGIN_CV)
