"""Plots of a change that reaches the nodes at different times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.analysis import propagation
from testbed.analysis.arms import arms
from testbed.analysis.intervals import over_trials
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = (
    (style.BLUE, "-", "o"),
    (style.ORANGE, "--", "s"),
    (style.GREEN, "-.", "^"),
    (style.PINK, ":", "D"),
    (style.SKY, "-", "v"),
)
"""Colour, line and marker of each node, in the order of their names."""


def figures(run: Run, margin_s: float) -> dict[str, Figure]:
    """Every plot of a propagation run, by the name of its file."""
    return {"who-sends-where": shares(run), "staleness": staleness(run, margin_s)}


def shares(run: Run) -> Figure:
    """A plot per arm: the share of each node's new connections that go to the withdrawn backend."""
    table = propagation.shares_over_time(run)
    nodes = sorted(set(table["node"]))
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(max(1, len(shown)), 1, sharey=True, row_in=2.4)
        for row, arm in zip(grid, shown, strict=True):
            mine = table[table["trial"].isin(arm.trials)]
            for node, look in zip(nodes, _LOOKS, strict=False):
                _share_line(row[0], mine[mine["node"] == node], str(node), look)
            row[0].axvline(0, color=style.INK, linewidth=0.8)
            row[0].set_title(style.broken(arm.label), loc="left")
            row[0].set_ylabel("share of new connections\nto the withdrawn backend")
            row[0].set_ylim(-0.02, 1.0)
            row[0].legend(loc="upper right")
        grid[-1][0].set_xlabel("time after the withdrawal was written (s)")
        return style.finish(
            figure,
            run,
            "Who sends where, until when",
            f"Steps of {propagation.BIN_S:g} s, all trials of an arm together; a line is a node's "
            "kernel, as it picked. One that stays up after 0 belongs to a node that has not heard yet.",
            trials=style.trials_per_arm(run),
        )


def _share_line(axes: Axes, rows: pd.DataFrame, node: str, look: tuple[str, str, str]) -> None:
    if rows.empty:
        return
    sums = rows.groupby("at_s")[["picks", "to_victim"]].sum()
    colour, line, _ = look
    axes.step(
        sums.index.to_numpy(dtype=float),
        (sums["to_victim"] / sums["picks"]).to_numpy(dtype=float),
        where="post",
        color=colour,
        linestyle=line,
        linewidth=1.6,
        label=node,
    )


def staleness(run: Run, margin_s: float) -> Figure:
    """Every node of every trial: how long it went on against how late it heard."""
    table = propagation.staleness(run)
    nodes = sorted(set(table["node"]))
    longest = float(table[["delay_s", "stale_s"]].max().max()) if len(table) else 1.0
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=3.6)
        axes = grid[0][0]
        line = np.array([0.0, longest * 1.05])
        axes.fill_between(line, line - margin_s, line + margin_s, color=style.CALM)
        axes.plot(line, line, color=style.INK, linewidth=0.8)
        for node, look in zip(nodes, _LOOKS, strict=False):
            for delay_s, rows in table[table["node"] == node].groupby("delay_s"):
                _point(axes, float(str(delay_s)), rows, look)
            axes.plot([], [], look[2], color=look[0], label=node)
        axes.set_xlabel("how late the node hears of changes (s)")
        axes.set_ylabel("from the withdrawal to its last\nnew connection to the backend (s)")
        axes.set_ylim(bottom=-0.05)
        axes.legend(loc="upper left")
        return style.finish(
            figure,
            run,
            "How long a node sends to a backend that is gone",
            f"A grey dot is a node in a trial, a coloured mark the mean with its 95 % interval over "
            f"trials. On the line a node is stale for exactly its delay; the band is the margin of "
            f"{margin_s:g} s.",
            trials=style.trials_per_arm(run),
        )


def _point(axes: Axes, delay_s: float, rows: pd.DataFrame, look: tuple[str, str, str]) -> None:
    values = rows["stale_s"].to_numpy(dtype=float)
    colour, _, marker = look
    axes.plot(np.full(values.size, delay_s), values, "o", color=style.GREY, markersize=3)
    mean = over_trials(values)
    if mean.low is not None and mean.high is not None:
        axes.errorbar([delay_s], [mean.estimate],
                      yerr=[[mean.estimate - mean.low], [mean.high - mean.estimate]], fmt=marker,
                      markersize=6, color=colour, capsize=4, linewidth=1.6)  # fmt: skip
