"""Plots of arms against a baseline: the differences in margins, and the trials behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.analysis.intervals import over_trials
from testbed.analysis.paired import Difference, Measure, standardised
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def differences(run: Run, found: Sequence[Difference]) -> Figure:
    """A plot per measure, a line per arm: the difference to the baseline in units of its margin."""
    measures = list(dict.fromkeys(one.measure for one in found))
    names = list(dict.fromkeys(one.arm for one in found))
    baseline = found[0].baseline if found else ""
    with style.styled():
        figure, grid = style.new_figure(
            1, max(1, len(measures)), sharey=True, row_in=0.6 + 0.35 * max(1, len(names))
        )
        for axes, measure in zip(grid[0], measures, strict=False):
            axes.axvspan(-1, 1, color=style.CALM)
            axes.axvline(0, color=style.INK, linewidth=0.8)
            for one in found:
                if one.measure == measure:
                    _interval(axes, names.index(one.arm), one)
            axes.set_title(style.wrapped(measure.title, 30), loc="left")
            unit = f" {measure.unit}" if measure.unit else ""
            axes.set_xlabel(f"difference / margin of {measure.margin:g}{unit}")
        grid[0][0].set_yticks(range(len(names)), names)
        grid[0][0].set_ylim(len(names) - 0.5, -0.5)
        return style.finish(
            figure,
            run,
            f"Difference to {baseline}",
            "The diamond is the mean difference over blocks with its 95 % interval, dots are "
            "blocks. A diamond whose interval lies inside the shaded band is the same as the "
            "baseline as far as the margin goes; one whose interval lies outside differs.",
            trials=style.trials_per_arm(run),
        )


def _interval(axes: Axes, y: int, one: Difference) -> None:
    values = np.asarray(one.values) / one.measure.margin
    axes.plot(values, np.full(values.size, y + 0.22), "o", color=style.GREY, markersize=3.5)
    centre, low, high = standardised(one)
    if low is None or high is None:
        return
    axes.errorbar([centre], [y], xerr=[[centre - low], [high - centre]], fmt="D", markersize=5.5,
                  color=style.BLUE, capsize=4, linewidth=1.8)  # fmt: skip


def trials_by(run: Run, table: pd.DataFrame, factor: str, measures: Sequence[Measure]) -> Figure:
    """A plot per measure, a column per value of the factor: every trial, and their mean."""
    joined = run.trials[["trial", factor]].merge(table, on="trial")
    names = [str(value) for value in run.meta["factors"][factor]]
    shown = [measure for measure in measures if measure.column in joined.columns]
    with style.styled():
        figure, grid = style.new_figure(max(1, len(shown)), 1, sharex=True, row_in=2.4)
        for row, measure in zip(grid, shown, strict=False):
            axes = row[0]
            for x, name in enumerate(names):
                rows = joined[joined[factor].astype(str) == name]
                _column(axes, x, rows, measure)
            axes.set_ylabel(
                style.wrapped(measure.title, 24) + (f" ({measure.unit})" * bool(measure.unit))
            )
            axes.set_ylim(bottom=0)
            axes.grid(axis="x", visible=False)
        grid[-1][0].set_xticks(range(len(names)), names, rotation=20, ha="right")
        grid[-1][0].set_xlim(-0.6, len(names) - 0.4)
        return style.finish(
            figure,
            run,
            f"Every trial, by {factor}",
            "A dot is a trial, a triangle one that was not watched to the end; the diamond is their "
            "mean with its 95 % interval over trials.",
            trials=style.trials_per_arm(run),
        )


def _column(axes: Axes, x: int, rows: pd.DataFrame, measure: Measure) -> None:
    known = rows[rows[measure.column].notna()]
    values = known[measure.column].to_numpy(dtype=float)
    lost = np.zeros(values.size, dtype=bool)
    if measure.censored and measure.censored in known.columns:
        lost = known[measure.censored].astype(bool).to_numpy()
    spread = x + (
        np.linspace(-0.3, -0.08, values.size) if values.size > 1 else np.full(values.size, -0.2)
    )
    axes.plot(spread[~lost], values[~lost], "o", color=style.GREY, markersize=4,
              markeredgecolor=style.INK, markeredgewidth=0.5)  # fmt: skip
    axes.plot(spread[lost], values[lost], "^", color=style.PAPER, markersize=7,
              markeredgecolor=style.INK)  # fmt: skip
    mean = over_trials(values[~lost])
    if mean.low is not None and mean.high is not None:
        axes.errorbar([x + 0.18], [mean.estimate],
                      yerr=[[mean.estimate - mean.low], [mean.high - mean.estimate]], fmt="D",
                      markersize=5.5, color=style.BLUE, capsize=4, linewidth=1.8)  # fmt: skip
