"""Plots of balance by names: evenness, what a deletion costs, and when requests fail around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.analysis import headless
from testbed.analysis.arms import arms
from testbed.analysis.intervals import over_trials
from testbed.analysis.outcomes import failed_share
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN_S = 0.25
_LINES = (("-", style.BLUE), ("--", style.ORANGE), (":", style.GREEN), ("-.", style.PINK))


def figures(run: Run, margin_cv: float) -> dict[str, Figure]:
    """Every plot of a headless run, by the name of its file."""
    return {
        "evenness": evenness(run, margin_cv),
        "deletion": deletion(run),
        "around-the-deletion": around(run),
    }


def evenness(run: Run, margin_cv: float) -> Figure:
    """A line per arm: the coefficient of variation before the deletion, against random picks."""
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.8 + 0.42 * max(1, len(shown)))
        axes = grid[0][0]
        for y, arm in enumerate(shown):
            rows = headless.of_arm(run, arm)
            random = float(rows["random_cv"].mean())
            axes.barh(y, random + margin_cv, height=0.8, color=style.CALM)
            axes.plot([random, random], [y - 0.4, y + 0.4], color=style.INK, linewidth=0.8)
            _line(axes, y, rows["cv"].dropna())
        _name_lines(axes, [arm.label for arm in shown])
        axes.set_xlim(left=0)
        axes.set_xlabel("coefficient of variation of connections over the pods")
        return style.finish(
            figure,
            run,
            "How even are connections, before the deletion?",
            "A grey dot is a trial, the diamond their mean with its 95 % interval. The upright line is what a"
            " random pod for each connection gives, the shaded band reaches as far as still counts as that. All"
            " clients together: each one by itself may be bound to one pod and the sum even by chance.",
            trials=style.trials_per_arm(run),
        )


def deletion(run: Run) -> Figure:
    """Two plots: requests that failed after the deletion, and the successor's share at the end."""
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(1, 2, sharey=True, row_in=0.8 + 0.42 * max(1, len(shown)))
        for axes, column, title in (
            (grid[0][0], "lost_share", "requests that failed after it"),
            (grid[0][1], "successor_share", "the successor's share at the end"),
        ):
            for y, arm in enumerate(shown):
                _line(axes, y, headless.of_arm(run, arm)[column].dropna())
            axes.set_title(title, loc="left")
            axes.xaxis.set_major_formatter(_percent)
            axes.set_xlim(left=0)
        fair = 1 / float(run.trials["replicas"].iloc[0])
        grid[0][1].axvline(fair, color=style.INK, linewidth=0.8)
        _name_lines(grid[0][0], [arm.label for arm in shown])
        grid[0][1].grid(axis="y", visible=False)
        return style.finish(
            figure,
            run,
            "What the deletion of a pod costs, and who hears of its successor",
            "A grey dot is a trial, the diamond their mean with its 95 % interval. Who keeps an address goes on"
            " dialling a pod that is no more, and never dials the one that came; the upright line is an equal"
            " share.",
            trials=style.trials_per_arm(run),
        )


def around(run: Run) -> Figure:
    """A plot per way to dial, a line per way to resolve: failed requests over time."""
    shown = arms(run)
    dials = sorted({str(arm.factors["dial"]) for arm in shown})
    table = headless.requests(run)
    with style.styled():
        figure, grid = style.new_figure(len(dials), 1, sharex=True, sharey=True, row_in=1.7)
        for (axes,), dial in zip(grid, dials, strict=True):
            mine = [arm for arm in shown if arm.factors["dial"] == dial]
            for arm, (line, colour) in zip(mine, _LINES * len(mine), strict=False):
                trials = [
                    (rows.assign(scheduled_ns=rows["after_s"] * 1e9), 0.0)
                    for _, rows in table[table["trial"].isin(arm.trials)].groupby("trial")
                ]
                share = failed_share(trials, BIN_S, before_s=1.0)
                label = f"resolve: {arm.factors['resolve']}"
                axes.step(share.index, share, line, where="post", color=colour, label=label)
            axes.axvline(0, color=style.INK, linewidth=0.8)
            axes.yaxis.set_major_formatter(_percent)
            axes.set_title(dial, loc="left")
        grid[0][0].legend(loc="upper right", ncols=3)
        grid[-1][0].set_xlabel("seconds after the deletion")
        return style.finish(
            figure,
            run,
            "Whose requests fail, and for how long",
            f"The share of requests due in each {BIN_S:g} s that failed, all trials together. By a cluster"
            " address the rules forget the pod; by names only a client that asks again does.",
            trials=style.trials_per_arm(run),
        )


def _percent(value: float, _position: float) -> str:
    return f"{value:.0%}"


def _name_lines(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def _line(axes: Axes, y: float, column: pd.Series[float]) -> None:
    values = column.to_numpy(dtype=float)
    axes.plot(values, np.full(values.size, y + 0.14), "o", color=style.GREY, markersize=3)
    mean = over_trials(values)
    if mean.low is not None and mean.high is not None:
        axes.errorbar([mean.estimate], [y],
                      xerr=[[mean.estimate - mean.low], [mean.high - mean.estimate]], fmt="D",
                      markersize=5.5, color=style.BLUE, capsize=4, linewidth=1.6)  # fmt: skip
