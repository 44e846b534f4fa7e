"""What a run will do and how long it will take, before it does it. Pure."""

from __future__ import annotations

from typing import Any

from testbed.experiment.design import Design, arms
from testbed.experiment.module import Experiment, Factors

LAB_S = 1.5
"""Rough: bringing a lab of some ten pods up and down; added to each trial's own estimate."""
UNKNOWN_S = 10.0
"""A trial of an experiment that has no `estimate_s`."""


def estimate_s(experiment: Experiment, design: Design) -> float:
    """Seconds that the design's trials will take, one after the other, if none is rerun."""
    one = sum(_trial_s(experiment, factors) for factors in arms(design))
    return one * design.repeats


def _trial_s(experiment: Experiment, factors: Factors) -> float:
    own = experiment.estimate_s(factors) if experiment.estimate_s else UNKNOWN_S
    return own + LAB_S


def planned(experiment: Experiment, design: Design) -> dict[str, Any]:
    """The row of `testbed run --plan` for one experiment."""
    return {
        "experiment": experiment.name,
        "question": experiment.question,
        "hypothesis": experiment.hypothesis,
        "refuted_if": experiment.refuted_if,
        **design.to_json(),
        "arms": len(arms(design)),
        "trials": len(arms(design)) * design.repeats,
        "estimate_s": round(estimate_s(experiment, design), 1),
    }
