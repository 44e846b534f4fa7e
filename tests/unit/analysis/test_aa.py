"""One mode under two labels, simulated: the interval of the difference holds 0 in 93 to 97 % of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from testbed.analysis.intervals import Interval
from testbed.analysis.multiplicity import corrected
from testbed.analysis.paired import Measure, differences, findings
from testbed.analysis.run import Run

Draw = Callable[[np.random.Generator, int], Any]
"""Numbers of the trials of so many blocks: a row per block, a column per label."""
EMPTY = pd.DataFrame()
RUNS = 400
METRICS = (Measure("cv", "evenness", "", 0.5), Measure("took_ms", "time", "ms", 0.5))


def clustered(rng: np.random.Generator, blocks: int) -> Any:
    """Means of 50 requests that share the level of their trial, which differs more than they do."""
    return rng.normal(rng.normal(10, 1, (blocks, 2))[..., None], 0.5, (blocks, 2, 50)).mean(axis=2)


def drifting(rng: np.random.Generator, blocks: int) -> Any:
    """The host slows down while the run goes on, and what it did lately it goes on doing."""
    noise = rng.normal(0, 1, 2 * blocks)
    for at in range(1, noise.size):
        noise[at] += 0.7 * noise[at - 1]
    # Each block's labels are in random order.
    ordered = np.array([rng.permutation(pair) for pair in noise.reshape(blocks, 2)])
    return 10 + ordered + 2.0 * np.arange(blocks)[:, None]


def skewed(rng: np.random.Generator, blocks: int) -> Any:
    return rng.lognormal(0, 0.8, (blocks, 2))


def simulated(draw: Draw, blocks: int) -> list[Interval]:
    """The interval of the difference in each of `RUNS` runs, which are metrics of one run here: they share
    their trials' names and nothing else.
    """
    rng = np.random.default_rng(blocks)
    run, table = run_of({f"run{number}": draw(rng, blocks) for number in range(RUNS)})
    measures = [Measure(str(name), "", "", 0.5) for name in table.columns[1:]]
    return [one.interval for one in differences(run, table, "label", measures)]


def run_of(metrics: dict[str, Any]) -> tuple[Run, pd.DataFrame]:
    blocks = len(next(iter(metrics.values())))
    trials = pd.DataFrame(
        [(f"b{block}-{label}", f"b{block}", label) for block in range(blocks) for label in "ab"],
        columns=pd.Index(["trial", "block", "label"]),
    )
    numbers = {name: drawn.reshape(-1) for name, drawn in metrics.items()}
    table = pd.DataFrame({"trial": trials["trial"], **numbers})
    return Run(Path(), {"factors": {"label": ["a", "b"]}}, trials, EMPTY, EMPTY, EMPTY), table


def share_that_holds_0(intervals: list[Interval]) -> float:
    return float(np.mean([(one.low or 0) <= 0 <= (one.high or 0) for one in intervals]))


@pytest.mark.parametrize(
    ("draw", "blocks"), [(clustered, 5), (clustered, 10), (drifting, 10), (skewed, 5)]
)
def test_the_interval_holds_0_in_19_of_20_runs(draw: Draw, blocks: int) -> None:
    found = simulated(draw, blocks)
    assert all(one.low is not None for one in found)
    # Differences of skewed numbers have long tails on both sides: then t is careful.
    assert 0.93 <= share_that_holds_0(found) <= (0.985 if draw is skewed else 0.97)


def test_from_twenty_blocks_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testbed.analysis.intervals.RESAMPLES", 999)
    assert 0.93 <= share_that_holds_0(simulated(clustered, 20)) <= 0.97


def test_a_difference_is_claimed_in_one_run_of_twenty_at_most_and_sameness_where_it_is_shown() -> (
    None
):
    rng = np.random.default_rng(3)
    answers = []
    for _ in range(100):
        run, table = run_of({one.column: rng.normal(10, 0.2, (10, 2)) for one in METRICS})
        found = corrected(findings(differences(run, table, "label", METRICS), "same"))
        answers.append([finding.verdict for finding in found])
    assert sum("does not hold" in answer for answer in answers) <= 100 * 0.05
    assert sum(answer == ["holds", "holds"] for answer in answers) > 90
