"""What has been reported against kube-proxy, each issue provoked, in each mode: is it still to be seen?"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.analysis.run import Finding, Run
from testbed.claims.conduct import plain, played
from testbed.claims.stage import Stage
from testbed.errors import UsageError
from testbed.experiment.arrange import with_clients_on_every_node
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.trial_lab import TrialLab
from testbed.issues import findings, register
from testbed.issues.bugs import BUGS, KEEP_STALE_UDP, NONE, with_bug
from testbed.kernel.features import Feature
from testbed.model.topology import Topology

QUESTION = "Which behaviours that were reported against kube-proxy are seen, and in which modes?"
HYPOTHESIS = "Each is seen as it was reported (docs/known-issues.md)."
REFUTED_IF = "No attempt shows it, and the bound on its rate is below the issue's own margin."

TOPOLOGY = "known-issues.yaml"
FACTORS: dict[str, tuple[Value, ...]] = {
    "proxy": ("iptables-legacy", "ipvs/rr", "userspace"),
    "bug": BUGS,
    "issues": (register.ALL,),
}
"""`bug`: a fault that has been mended, switched on; `issues`: all, those of a subject, or one by its name.
The modes are those of the packaged guest kernel; in smoke they are the host's."""
CHOICES = {"proxy": MODES, "issues": register.CHOICES}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = False
KEEP_RULES = False
PROFILES = {
    "smoke": Profile(
        repeats=3,
        factors={
            "proxy": ("iptables-nft", "nftables"),
            "bug": (NONE, KEEP_STALE_UDP),
        },
    )
}


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The issues' topology in the trial's mode and with its switch, and pods on every node to ask from.

    Raises UsageError for a topology without what the issues need.
    """
    needed = {"web", "api", "statsd", "resolver", "restarting", "emptied", "draining"}
    if missing := sorted(needed - set(topology.services)):
        raise UsageError(
            f"known-issues needs a service {missing[0]}", "as in topologies/known-issues.yaml"
        )
    in_mode = with_mode(topology, str(factors["proxy"]))
    return with_clients_on_every_node(with_bug(in_mode, str(factors["bug"])))


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return register.estimate_s(str(factors["issues"]), str(factors["proxy"]), str(factors["bug"]))


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Every chosen issue attempted, one part of the trial after the other."""
    lab.subject()
    stage = Stage(lab, factors, random.Random(seed), lab.inspect())
    wanted = register.chosen(str(factors["issues"]), str(factors["proxy"]), str(factors["bug"]))
    for part in register.parts(wanted):
        seen = played(stage, [issue.scene for issue in part])
        for issue in part:
            lab.note(findings.NOTE, issue=issue.name, **plain(seen[issue.name]))


def measure(run: Run) -> pd.DataFrame:
    """For trials.csv: how many issues each trial attempted, and how many of them it showed."""
    return findings.metrics(run)


def analyse(run: Run) -> list[Finding]:
    """A finding for each issue in each arm, and for each issue over the modes."""
    return findings.findings(run)


def plot(run: Run) -> Mapping[str, Any]:
    """How often each issue showed, arm by arm."""
    from testbed.report.issues import figures

    return figures(run)
