"""Differences within blocks, on data whose truth is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from testbed.analysis.paired import Measure, differences, findings
from testbed.analysis.run import Run

TIME = Measure("took_ms", "time", "ms", 10.0, "took_censored")
EMPTY = pd.DataFrame()


def run_of(blocks: int, arms: tuple[str, ...] = ("a", "b")) -> Run:
    rows = [
        {"trial": f"b{block}-{arm}", "block": block, "proxy": arm}
        for block in range(blocks)
        for arm in arms
    ]
    meta = {"experiment": "x", "factors": {"proxy": list(arms)}}
    return Run(Path(), meta, pd.DataFrame(rows), EMPTY, EMPTY, EMPTY)


def table_of(
    run: Run, effect_ms: float, *, drift_ms: float = 0.0, noise_ms: float = 1.0, seed: int = 0
) -> pd.DataFrame:
    """Arm a takes 100 ms, arm b more by the effect; every block is slower than the one before."""
    chance = np.random.default_rng(seed)
    took = (
        100
        + effect_ms * (run.trials["proxy"] == "b")
        + drift_ms * run.trials["block"]
        + chance.normal(0, noise_ms, len(run.trials))
    )
    return pd.DataFrame({"trial": run.trials["trial"], "took_ms": took})


@pytest.mark.parametrize(
    ("effect_ms", "drift_ms", "verdict"),
    [(0, 0, "holds"), (0, 500, "holds"), (40, 0, "does not hold"), (40, 500, "does not hold")],
    ids=["same", "same, and the host slows down", "slower", "slower, and the host slows down"],
)
def test_the_verdict_is_the_truth_whatever_drifts(
    effect_ms: float, drift_ms: float, verdict: str
) -> None:
    run = run_of(6)
    (found,) = differences(run, table_of(run, effect_ms, drift_ms=drift_ms), "proxy", [TIME])
    (finding,) = findings([found], "same")
    assert finding.verdict == verdict
    assert finding.figures["difference_ms"] == pytest.approx(effect_ms, abs=3)


def test_the_interval_covers_the_truth_about_19_times_in_20() -> None:
    run, covered = run_of(5), 0
    for seed in range(200):
        (one,) = differences(run, table_of(run, 7, seed=seed), "proxy", [TIME])
        assert one.interval.low is not None
        assert one.interval.high is not None
        covered += one.interval.low <= 7 <= one.interval.high
    assert 180 <= covered <= 199


def test_below_five_blocks_nothing_is_decided() -> None:
    run = run_of(4)
    (one,) = differences(run, table_of(run, 100), "proxy", [TIME])
    assert one.interval.low is None
    assert findings([one], "same")[0].verdict == "undecided"


def test_a_block_not_watched_to_the_end_is_left_out_and_leaves_it_undecided() -> None:
    run = run_of(6)
    table = table_of(run, 0).assign(took_censored=run.trials["trial"] == "b3-b")
    (one,) = differences(run, table, "proxy", [TIME])
    assert (one.interval.n, one.censored) == (5, 1)
    assert findings([one], "same")[0].verdict == "undecided"


def test_the_first_value_of_the_factor_is_the_baseline() -> None:
    run = run_of(5, ("z", "b", "m"))
    found = differences(run, table_of(run, 0), "proxy", [TIME])
    assert [(one.arm, one.baseline) for one in found] == [("b", "z"), ("m", "z")]


def test_a_ratio_is_a_geometric_mean() -> None:
    run = run_of(5)
    (one,) = differences(run, table_of(run, 100, noise_ms=0.0), "proxy", [TIME])
    assert one.ratio.estimate == pytest.approx(2.0)
    assert math.isclose(one.values[0], 100.0)


def test_what_machines_differ_by_cancels() -> None:
    """Whole blocks on three machines, of which one takes ten times as long."""
    run = run_of(12)
    table = table_of(run, 1)
    slower_ms = run.trials["block"].map(lambda block: (0, 50, 1000)[block % 3])
    (found,) = differences(run, table.assign(took_ms=table["took_ms"] + slower_ms), "proxy", [TIME])
    (alike,) = differences(run, table, "proxy", [TIME])
    assert found.interval.estimate == pytest.approx(alike.interval.estimate)
    assert found.interval.low == pytest.approx(alike.interval.low)
