"""What a run will do and how long it will take, before it does it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from testbed.experiment.design import Design, arms
from testbed.experiment.module import Experiment, Factors

HOST = "host"
LAB_S: Mapping[str, float] = MappingProxyType({HOST: 1.5, "built": 7.0, "packaged": 9.0})
"""By the kernel's name as `kernel ls` has it: bringing a lab of some ten pods up and down, which a guest
boots first (docs/kernels.md). Added to each trial's own estimate.
"""
UNKNOWN_S = 10.0
"""A trial of an experiment that has no `estimate_s`."""


def estimate_s(experiment: Experiment, design: Design, kernel: str | None = HOST) -> float:
    """Seconds that the design's trials will take on that kernel, one after the other, if none is rerun.

    None: on a host's that has what they need, wherever that is.
    """
    lab_s = LAB_S[kernel or HOST]
    one = sum(_own_s(experiment, factors) + lab_s for factors in arms(design))
    return one * design.repeats


def _own_s(experiment: Experiment, factors: Factors) -> float:
    return experiment.estimate_s(factors) if experiment.estimate_s else UNKNOWN_S


def planned(experiment: Experiment, design: Design, kernel: str | None = HOST) -> dict[str, Any]:
    """The row of `testbed run --plan` for one experiment; `kernel` None: none here can run it."""
    return {
        "experiment": experiment.name,
        "question": experiment.question,
        "hypothesis": experiment.hypothesis,
        "refuted_if": experiment.refuted_if,
        **design.to_json(),
        "arms": len(arms(design)),
        "trials": len(arms(design)) * design.repeats,
        "kernel": kernel,
        "estimate_s": round(estimate_s(experiment, design, kernel), 1),
    }
