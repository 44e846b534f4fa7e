"""What tutorials and answers say about Kubernetes networking, each claim tested as stated, in each mode."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis.run import Finding, Run
from testbed.claims import findings, register
from testbed.claims.conduct import conduct
from testbed.claims.primary import pilots, primaries
from testbed.claims.stage import Stage
from testbed.errors import UsageError
from testbed.experiment.arrange import require_positive, with_clients_on_every_node
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology

QUESTION = "Is it so, what is said about Kubernetes networking, and in which proxy modes?"
HYPOTHESIS = "Each claim holds, as it is stated, to within its own margin (docs/claims.md)."
REFUTED_IF = (
    "Of what must always be so, one attempt says otherwise; of what is so on average, the trials show "
    "a difference beyond the margin."
)

TOPOLOGY = "claims.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "proxy": ("iptables-legacy", "ipvs/rr", "ipvs/lc", "ipvs/sh", "ipvs/mh", "userspace"),
    "network": ("host-gw",),
    "claims": (register.ALL,),
    "duration_s": (5.0,),
}
"""`claims`: all, those of a subject, or one by its name. `duration_s`: of the connections that are
counted, one after the other from every node. The modes are those of the packaged guest kernel; where
another kernel is meant, name its modes. In smoke they are the host's. `network` is the pods'."""
CHOICES = {
    "proxy": tuple(mode for mode in MODES if mode != "external"),
    "network": ("host-gw", "vxlan", "weave", "bgp"),
    "claims": register.CHOICES,
}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
_BALANCED = ("balanced", "outward", "near", "guarded", "admitted", "sticky")
PROFILES = {
    "smoke": Profile(
        repeats=3,
        factors={"proxy": ("iptables-nft", "nftables", "userspace"), "duration_s": (1.5,)},
    )
}


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The claims' topology in the trial's mode, with pods on every node to ask from; its
    ingress controller only for claims on that.

    Raises UsageError for a topology without what the claims need.
    """
    require_positive("claims", factors, "duration_s")
    missing = sorted(
        {"web", "crowd", "frail", "growing", "moving", "mixed", "lone", "leaving", *_BALANCED}
        - set(topology.services)
    )
    if missing:
        raise UsageError(
            f"claims needs a service {missing[0]}",
            "as in topologies/claims.yaml, with one for each subject",
        )
    if not set(register.chosen("ingress")).isdisjoint(register.chosen(str(factors["claims"]))):
        if topology.ingress is None:
            raise UsageError("claims on ingress need a controller", "`ingress:` in the topology")
    else:
        topology = topology.model_copy(update={"ingress": None})
    cni = type(topology.network).model_validate({"cni": factors["network"]}).cni
    network = topology.network.model_copy(update={"cni": cni})
    topology = with_mode(topology.model_copy(update={"network": network}), str(factors["proxy"]))
    return with_clients_on_every_node(topology)


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    choice = str(factors["claims"])
    counted = not set(register.chosen("balance")).isdisjoint(register.chosen(choice))
    return register.estimate_s(choice) + float(factors["duration_s"]) * counted


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Every chosen claim observed, one part of the trial after the other."""
    lab.subject()
    stage = Stage(lab, factors, random.Random(seed), lab.inspect())
    conduct(stage, register.chosen(str(factors["claims"])))


def measure(run: Run) -> pd.DataFrame:
    """For trials.csv: how many claims each trial says nothing against."""
    return findings.metrics(run)


def primary(run: Run) -> list[Primary]:
    """What the verdicts on averages are about."""
    return primaries(run)


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """A mode that picks at random and notices nothing."""
    names = [claim.name for claim in register.chosen(str(factors["claims"]))]
    return pilots(names, float(factors["duration_s"]))


def analyse(run: Run) -> list[Finding]:
    """A finding for each claim in each mode, and for each claim over the modes."""
    return findings.findings(run)


def plot(run: Run) -> Mapping[str, Any]:
    """Claims by modes, each with its verdict."""
    from testbed.report.claims import figures

    return figures(run, analyse(run))
