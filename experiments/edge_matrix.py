"""Every door into the cluster by every policy and client: who gets in, seen as whom, and back by which way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis import edge_matrix
from testbed.analysis.run import Finding, Run
from testbed.claims import edge_lab
from testbed.edge.doors import ROWS
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology

QUESTION = "Does every door into the cluster lead where Kubernetes promises, and back the same way?"
HYPOTHESIS = (
    "At node ports and load balancers' addresses, with both external traffic policies, of pods and of"
    " ingress controllers, and at a controller's node every client reaches whom it should, is seen under"
    " the address that it should be, and has its reply by the way that follows from it (docs/edge.md)."
)
REFUTED_IF = "One connection goes another way."

FACTORS: dict[str, tuple[Value, ...]] = {
    "provider": ("l2", "bgp", "haproxy", "nftables"),
    "proxy": ("iptables-nft", "nftables", "userspace"),
    "profile": ("documented",),
}
"""`provider`: of load balancers' addresses, a cloud's named after its program. `profile`: the
proxies'; by kube-proxy-1.36 what modes ipvs and userspace deviate in is among what is promised."""
CHOICES = {
    "provider": edge_lab.PROVIDERS,
    "proxy": tuple(mode for mode in MODES if mode != "external"),
    "profile": ("documented", "kube-proxy-1.36"),
}
REPEATS = 3
REQUIRES = frozenset({Feature.CONNTRACK, Feature.HAPROXY})
TIMING = False
KEEP_RULES = False
PROFILES = {
    "smoke": Profile(
        repeats=1, factors={"provider": ("haproxy", "nftables"), "proxy": ("iptables-nft",)}
    )
}


def topology(factors: Factors) -> Topology:
    """Services of pods and of ingress controllers, for each policy one, behind one provider."""
    made = edge_lab.topology(str(factors["provider"]), str(factors["profile"]))
    topology = Topology.model_validate(edge_lab.with_ingress(made))
    return with_mode(topology, str(factors["proxy"]))


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return edge_lab.SILENCE_S + 1.0


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Every row dialled, all callers at the same time."""
    lab.subject()
    here = edge_lab.setting(*(str(factors[one]) for one in ("provider", "proxy", "profile")))
    found = edge_lab.dialled(lab, here)
    for row in ROWS:
        lab.note(edge_matrix.NOTE, **edge_matrix.note_of(row, found[row.name], here))


def measure(run: Run) -> pd.DataFrame:
    """How many rows each trial dialled, and how many were wrong, for trials.csv."""
    return edge_matrix.metrics(run)


def analyse(run: Run) -> list[Finding]:
    """How many rows were wrong, over all and arm by arm."""
    return edge_matrix.findings(run, QUESTION, HYPOTHESIS)


def plot(run: Run) -> Mapping[str, Any]:
    """The matrix."""
    from testbed.report.edge_matrix import figures

    return figures(run)
