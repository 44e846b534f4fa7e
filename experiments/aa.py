"""The same mode under two labels: does the testbed find a difference where there is none?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from testbed.analysis import balance, paired
from testbed.analysis.latency import over_direct
from testbed.analysis.paired import Difference, Measure
from testbed.analysis.run import Finding, Run
from testbed.experiment.arrange import (
    require_positive,
    subject_workload,
    with_clients_on_every_node,
    with_workload,
    without_names,
)
from testbed.experiment.modes import MODES, with_mode
from testbed.experiment.module import Factors, Profile, Value
from testbed.experiment.primary import Pilot, Primary
from testbed.experiment.streams import main_and_control
from testbed.experiment.trial_lab import TrialLab
from testbed.kernel.features import Feature
from testbed.model.topology import Topology

QUESTION = "Is a difference found between two labels of one and the same proxy mode?"
HYPOTHESIS = (
    "None is: evenness (coefficient of variation of the shares within 0.05) and latency over the"
    " direct way (within 20 %) are the same under both labels, and the interval of each difference"
    " holds 0."
)
REFUTED_IF = (
    "Some difference is shown to be more than its margin; or, over many runs, fewer than 93 % of the"
    " intervals hold 0."
)

TOPOLOGY = "quickstart.yaml"
LABEL = "label"
FACTORS: dict[str, tuple[Value, ...]] = {
    LABEL: ("a", "b"),
    "proxy": ("iptables-legacy",),
    "replicas": (3,),
    "rate_rps": (150.0,),
    "duration_s": (10.0,),
}
"""`label` changes nothing; `proxy` is one mode, whichever; `rate_rps` is of all client nodes together."""
CHOICES = {"proxy": MODES}
REPEATS = 10
REQUIRES = frozenset({Feature.CONNTRACK})
TIMING = True
PROFILES = {"smoke": Profile(repeats=5, factors={"duration_s": (2.0,)})}

MEASURES = (
    Measure("cv", "coefficient of variation of the shares", "", 0.05),
    Measure("latency_over_direct", "latency over the direct way", "", 0.2),
)
SPREADS = {"cv": 0.03, "latency_over_direct": 0.15}
"""Standard deviations of those differences between blocks, in runs on two CPUs."""


def arrange(topology: Topology, factors: Factors) -> Topology:
    """The subject in the mode, with its replicas, each a process of its own, and callers; the label is not
    looked at.

    Raises UsageError for a factor that makes no load.
    """
    require_positive("aa", factors, "replicas", "rate_rps", "duration_s")
    topology = with_mode(without_names(topology), str(factors["proxy"]))
    topology = with_workload(
        topology, subject_workload(topology), replicas=factors["replicas"], server="process"
    )
    return with_clients_on_every_node(topology)


def estimate_s(factors: Factors) -> float:
    """How long a trial takes, without its lab."""
    return float(factors["duration_s"])


def trial(lab: TrialLab, factors: Factors, seed: int) -> None:
    """Poisson arrivals from every node, and from every node a control straight to a pod."""
    rate_rps, duration_s = float(factors["rate_rps"]), float(factors["duration_s"])
    lab.load(*main_and_control(lab.subject(), rate_rps, duration_s, seed))


def measure(run: Run) -> pd.DataFrame:
    """Balance and latency of each trial, for trials.csv."""
    return balance.metrics(run).merge(over_direct(run), on="trial", how="outer")


def _differences(run: Run) -> list[tuple[str, list[Difference]]]:
    """Label b minus label a, block by block, in each mode by itself."""
    table = measure(run)
    modes = dict.fromkeys(run.trials["proxy"].astype(str))
    return [
        (
            mode,
            paired.differences(
                run.only(run.trials.loc[run.trials["proxy"].astype(str) == mode, "trial"]),
                table,
                LABEL,
                MEASURES,
            ),
        )
        for mode in modes
    ]


def primary(run: Run) -> list[Primary]:
    """Label b minus label a, block by block."""
    return [
        replace(one, factors={**one.factors, "proxy": mode})
        for mode, found in _differences(run)
        for one in paired.primaries(found, LABEL)
    ]


def pilot(factors: Factors) -> tuple[Pilot, ...]:
    """As in runs on two CPUs."""
    return tuple(
        Pilot(paired.name_of(one), one.margin, SPREADS[one.column], one.unit, against=LABEL)
        for one in MEASURES
    )


def analyse(run: Run) -> list[Finding]:
    """Whether both labels are the same in each measure; whether the interval of the difference holds 0 is
    among the figures.
    """
    return [
        replace(finding, arm=mode, figures={**finding.figures, "interval_holds_0": holds_0(one)})
        for mode, found in _differences(run)
        for one, finding in zip(found, paired.findings(found, HYPOTHESIS), strict=True)
    ]


def holds_0(one: Difference) -> str:
    """Of the 95 % interval: in an experiment without a difference, 19 in 20 do."""
    low, high = one.interval.low, one.interval.high
    if low is None or high is None:
        return "too few blocks"
    return "yes" if low <= 0 <= high else "no"


def plot(run: Run) -> Mapping[str, Any]:
    """The differences with their intervals, and the trials behind them; of several modes each its own."""
    from testbed.report.comparison import differences, trials_by

    table, drawn = measure(run), {}
    found = _differences(run)
    for number, (mode, some) in enumerate(found):
        mine = run.only(run.trials.loc[run.trials["proxy"].astype(str) == mode, "trial"])
        suffix = f"-{number}" if len(found) > 1 else ""
        drawn[f"differences{suffix}"] = differences(mine, some)
        drawn[f"trials{suffix}"] = trials_by(mine, table, LABEL, MEASURES)
    return drawn
