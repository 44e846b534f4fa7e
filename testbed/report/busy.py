"""Plots of backends of unequal speed: who gets the connections, and what the clients wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.analysis import busy
from testbed.analysis.arms import arms
from testbed.analysis.intervals import over_trials
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figures(run: Run, margin: float) -> dict[str, Figure]:
    """Every plot of a busy run, by the name of its file."""
    return {"slow-share": shares(run, margin), "latency": latency(run)}


def shares(run: Run, margin: float) -> Figure:
    """A line per arm: the slow backend's share of connections, every trial and their mean."""
    table = busy.metrics(run)
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.8 + 0.45 * max(1, len(shown)))
        axes = grid[0][0]
        for y, arm in enumerate(shown):
            fair = busy.fair_share(arm.factors)
            axes.barh(y, 2 * margin, left=fair - margin, height=0.8, color=style.CALM)
            axes.plot([fair, fair], [y - 0.4, y + 0.4], color=style.INK, linewidth=0.8)
            rows = table[table["trial"].isin(arm.trials)]
            _line(axes, y, rows["slow_share"].dropna(), ("D", style.BLUE))
        _name_lines(axes, [arm.label.removeprefix("proxy=") for arm in shown])
        axes.set_xlim(left=0)
        axes.set_xlabel("the slow backend's share of connections")
        return style.finish(
            figure,
            run,
            "Does the balancer notice the slow backend?",
            "A grey dot is a trial, the diamond their mean with its 95 % interval. The upright line "
            "is an equal share, the band the margin: a diamond whose interval lies inside belongs to "
            "a balancer that does not notice; further left, to one that spares the slow backend; further "
            "right, to one that favours it.",
            trials=style.trials_per_arm(run),
        )


def latency(run: Run) -> Figure:
    """A line per arm: median and 99th percentile of the latency, on a logarithmic axis."""
    table = busy.metrics(run)
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.8 + 0.55 * max(1, len(shown)))
        axes = grid[0][0]
        axes.set_xscale("log")
        for y, arm in enumerate(shown):
            rows = table[table["trial"].isin(arm.trials)]
            _line(axes, y - 0.16, rows["latency_p50_ms"].dropna(), ("o", style.BLUE), log=True)
            _line(axes, y + 0.16, rows["latency_p99_ms"].dropna(), ("s", style.ORANGE), log=True)
        axes.plot([], [], "o", color=style.BLUE, label="median")
        axes.plot([], [], "s", color=style.ORANGE, label="99th percentile")
        axes.legend(loc="best")
        _name_lines(axes, [arm.label.removeprefix("proxy=") for arm in shown])
        axes.set_xlabel("latency of a request from its scheduled time (ms)")
        return style.finish(
            figure,
            run,
            "What clients wait",
            "Over all answered requests of a trial. A grey dot is a trial, a coloured mark the "
            "geometric mean with its 95 % interval over trials.",
            trials=style.trials_per_arm(run),
        )


def _name_lines(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)


def _line(
    axes: Axes, y: float, column: pd.Series[float], look: tuple[str, str], *, log: bool = False
) -> None:
    values = column.to_numpy(dtype=float)
    marker, colour = look
    axes.plot(values, np.full(values.size, y + 0.12), "o", color=style.GREY, markersize=3)
    mean = over_trials(values, scale="log" if log else "linear")
    if mean.low is not None and mean.high is not None:
        axes.errorbar([mean.estimate], [y],
                      xerr=[[mean.estimate - mean.low], [mean.high - mean.estimate]], fmt=marker,
                      markersize=5.5, color=colour, capsize=4, linewidth=1.6)  # fmt: skip
