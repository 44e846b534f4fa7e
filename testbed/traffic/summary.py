"""Samples -> what `testbed load` prints (DESIGN.md, Commands)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from testbed.traffic.samples import OUTCOMES
from testbed.traffic.spec import LoadSpec

if TYPE_CHECKING:
    import pandas as pd


def summarise(
    samples: pd.DataFrame,
    spec: LoadSpec,
    backends: Sequence[str] = (),
    elapsed_s: float | None = None,
) -> dict[str, Any]:
    """The JSON of `load`; figures that do not exist (no answer, too few picks) are null.

    `samples` as `samples.read` gives them. `backends`: all that could have answered, so that one
    that never did counts as a share of zero. `elapsed_s`: of a load that was stopped early.
    """
    duration_s = spec.duration_s if elapsed_s is None else min(spec.duration_s, elapsed_s)
    counts = samples["outcome"].value_counts()
    answered = samples[samples["backend"].notna()].sort_values("start_ns", kind="stable")
    return {
        "requests": len(samples),
        "duration_s": round(duration_s, 3),
        "rate_rps": round(len(samples) / duration_s, 3) if duration_s else None,
        "loop": "open" if spec.open_loop else "closed",
        "outcomes": {name: int(counts[name]) for name in OUTCOMES if name in counts},
        "latency_ms": latency_ms(samples, spec.warmup_s),
        "backends": _by_backend(answered, backends),
        "balance": _balance(answered, backends),
    }


def latency_ms(samples: pd.DataFrame, warmup_s: float = 0.0) -> dict[str, float | None]:
    """p50, p90, p99 and max over requests that were answered.

    From the scheduled time in an open loop; in a closed one from the start, which is service time.
    The warm-up is cut by when a request was due.
    """
    due = samples["scheduled_ns"].fillna(samples["start_ns"])
    ok = samples["outcome"] == "ok"
    if len(samples):
        ok &= due >= due.min() + int(warmup_s * 1e9)
    latency = (samples["end_ns"] - due)[ok].astype("float64") / 1e6
    points = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {
        name: round(float(latency.quantile(point)), 6) if len(latency) else None
        for name, point in points.items()
    }


def _by_backend(answered: pd.DataFrame, backends: Sequence[str]) -> dict[str, dict[str, int]]:
    groups = answered.groupby("backend")["connection"]
    requests, connections = groups.size(), groups.nunique()
    names = sorted({*backends, *requests.index})
    return {
        name: {
            "connections": int(connections.get(name, 0)),
            "requests": int(requests.get(name, 0)),
        }
        for name in names
    }


def _balance(answered: pd.DataFrame, backends: Sequence[str]) -> dict[str, float | None]:
    """Evenness of the picks, which are made once per connection."""
    import numpy as np

    from testbed.traffic import evenness

    picks = answered.drop_duplicates("connection")["backend"]
    names = sorted({*backends, *picks})
    position = {name: index for index, name in enumerate(names)}
    sequence = np.array([position[name] for name in picks], dtype=np.int64)
    if not len(sequence):
        return dict.fromkeys(("jain", "cv", "max_over_mean", "chi2_p", "entropy_bits"))
    counts = np.bincount(sequence, minlength=len(names))
    transitions = evenness.transition_counts([sequence], len(names))
    figures = {
        "jain": evenness.jain_index(counts),
        "cv": evenness.coefficient_of_variation(counts),
        "max_over_mean": evenness.max_over_mean(counts),
        "chi2_p": evenness.chi_square_p(counts),
        "entropy_bits": evenness.next_pick_entropy_bits(transitions),
    }
    return {name: None if math.isnan(value) else round(value, 6) for name, value in figures.items()}
