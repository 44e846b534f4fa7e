"""Arms against a baseline, block by block: what drifts over a run touches both alike.

One difference per block, so that n is the number of blocks; the verdict is an equivalence test
against a margin named before the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from testbed.analysis.equivalence import UNDECIDED, Equivalence, decided, equivalence
from testbed.analysis.intervals import Interval, over_trials
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the trials' metrics, compared between arms.

    `margin` is in the column's unit; below it a difference does not matter. `censored` names a
    column that says that a trial was not watched to the end of it.
    """

    column: str
    title: str
    unit: str
    margin: float
    censored: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One arm minus the baseline, in one measure; `values` has one number per block.

    `ratio` is the geometric mean of arm / baseline, `level` the baseline's mean. `censored` counts
    blocks that are left out since one of the two never got there.
    """

    measure: Measure
    arm: str
    baseline: str
    values: tuple[float, ...]
    interval: Interval
    ratio: Interval
    test: Equivalence
    censored: int
    level: float


def differences(
    run: Run, table: pd.DataFrame, factor: str, measures: Sequence[Measure]
) -> list[Difference]:
    """Every value of `factor` against its first one, in every measure.

    `table` has a row per trial (trial, metrics). Other factors must not vary: pairs are told by
    their block alone.
    """
    joined = run.trials[["trial", "block", factor]].merge(table, on="trial")
    order = [str(value) for value in run.meta["factors"][factor]]
    known = [value for value in order if value in set(joined[factor].astype(str))]
    found = []
    for arm in known[1:]:
        for measure in measures:
            if measure.column in joined.columns:
                found.append(_difference(joined, factor, (arm, known[0]), measure))
    return found


def _difference(
    joined: pd.DataFrame, factor: str, pair: tuple[str, str], measure: Measure
) -> Difference:
    arm, baseline = pair
    wide = _by_block(joined, factor, measure.column)[[arm, baseline]].dropna()
    lost = pd.Series(False, index=wide.index)
    if measure.censored and measure.censored in joined.columns:
        marks = _by_block(joined, factor, measure.censored)[[arm, baseline]]
        lost = marks.loc[wide.index].astype(bool).any(axis=1)
    kept = wide[~lost]
    values = (kept[arm] - kept[baseline]).to_numpy(dtype=float)
    both = kept[(kept > 0).all(axis=1)]
    return Difference(
        measure=measure,
        arm=arm,
        baseline=baseline,
        values=tuple(float(value) for value in values),
        interval=over_trials(values),
        ratio=over_trials((both[arm] / both[baseline]).to_numpy(dtype=float), scale="log"),
        test=equivalence(values, 0.0, measure.margin),
        censored=int(lost.sum()),
        level=float(kept[baseline].mean()),
    )


def _by_block(joined: pd.DataFrame, factor: str, column: str) -> pd.DataFrame:
    keys = [joined["block"], joined[factor].astype(str)]
    return joined[column].set_axis(pd.MultiIndex.from_arrays(keys)).unstack()


def findings(found: Sequence[Difference], hypothesis: str) -> list[Finding]:
    """An answer for each difference: is it within its margin?"""
    # What was left out might have decided otherwise.
    answers = [UNDECIDED if one.censored else decided([one.test]) for one in found]
    return [
        Finding(
            question=f"{one.arm} against {one.baseline}: is the {one.measure.title} the same?",
            hypothesis=hypothesis,
            verdict=answer.verdict,
            p_value=answer.p_value,
            name=name_of(one.measure),
            arm=one.arm,
            figures=_figures(one),
            answer=_sentence(one),
        )
        for one, answer in zip(found, answers, strict=True)
    ]


def primaries(found: Sequence[Difference], factor: str) -> list[Primary]:
    """One number per block: arm minus baseline; a percentage is of the baseline's mean."""
    return [
        Primary(
            name_of(one.measure),
            {factor: one.arm},
            one.values,
            one.measure.unit,
            level=one.level,
        )
        for one in found
    ]


def name_of(measure: Measure) -> str:
    """Of the finding about a measure: `same-recover-ms`."""
    return f"same-{measure.column.replace('_', '-')}"


def _figures(one: Difference) -> Mapping[str, float | int | str | None]:
    unit = f"_{one.measure.unit}" if one.measure.unit else ""
    return {
        "measure": one.measure.column,
        "arm": one.arm,
        "baseline": one.baseline,
        "blocks": one.interval.n,
        "censored_blocks": one.censored,
        f"margin{unit}": one.measure.margin,
        f"difference{unit}": one.interval.estimate,
        f"difference_ci95_low{unit}": one.interval.low,
        f"difference_ci95_high{unit}": one.interval.high,
        "ratio": one.ratio.estimate if one.ratio.n else None,
        "ratio_ci95_low": one.ratio.low,
        "ratio_ci95_high": one.ratio.high,
        "p_inside": one.test.p_inside,
        "p_outside": one.test.p_outside,
    }


def _sentence(one: Difference) -> str:
    unit = f" {one.measure.unit}" if one.measure.unit else ""
    if not one.values:
        return "No block in which both were watched to the end."
    said = f"{_signed(one.interval.estimate)}{unit}"
    interval = "too few blocks for an interval"
    if one.interval.low is not None and one.interval.high is not None:
        interval = f"95 % interval {_signed(one.interval.low)} to {_signed(one.interval.high)}"
    left_out = f"; {one.censored} blocks left out, not watched to the end" if one.censored else ""
    return (
        f"{one.arm} minus {one.baseline}: {said}, {interval}, against a margin of "
        f"{one.measure.margin:g}{unit}; n = {one.interval.n} blocks{left_out}."
    )


def _signed(value: float) -> str:
    """Three digits, or all before the point: +0.0172, -1,380."""
    return f"{value:+,.0f}" if abs(value) >= 1000 else f"{value:+.3g}"


def standardised(one: Difference) -> tuple[float, float | None, float | None]:
    """Estimate and limits in margins, for plots that put different measures side by side."""
    margin = one.measure.margin
    low, high = one.interval.low, one.interval.high
    return (
        one.interval.estimate / margin if one.values else float(np.nan),
        None if low is None else low / margin,
        None if high is None else high / margin,
    )
