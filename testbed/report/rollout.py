"""Plots of a rolling update: what it cost, when, and who gets the requests afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis import rollout
from testbed.analysis.arms import Arm, arms
from testbed.analysis.outcomes import failed_share
from testbed.analysis.run import Run
from testbed.report import style
from testbed.report.failover import LOOKS
from testbed.traffic.samples import OUTCOMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN_S = 0.1
BEFORE_S = 1.0
_TITLES = {"new": "new connections", "kept": "kept connections"}


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a rollout run, by the name of its file."""
    return {"losses": losses(run), "over-time": over_time(run), "afterwards": afterwards(run)}


def losses(run: Run) -> Figure:
    """A bar per arm and kind of connection: the share that failed, stacked by outcome; a dot per trial."""
    table, counts = rollout.metrics(run), rollout.outcomes(run)
    shown = arms(run)
    used: list[str] = []
    with style.styled():
        figure, grid = style.new_figure(1, 2, sharey=True, row_in=0.9 + 0.5 * max(1, len(shown)))
        for axes, (name, title) in zip(grid[0], _TITLES.items(), strict=True):
            for y, arm in enumerate(shown):
                rows = counts[(counts["arm"] == arm.label) & (counts["connections"] == name)]
                used += [one for one in _stacked(axes, y, rows) if one not in used]
                own = table.loc[table["trial"].isin(arm.trials), f"lost_share_{name}"] * 100
                axes.plot(own, np.full(len(own), y + 0.32), "o", color=style.GREY, markersize=3.5,
                          markeredgecolor=style.INK, markeredgewidth=0.5)  # fmt: skip
            axes.set_title(f"on {title}", loc="left")
            axes.set_xlabel("failed while the update lasted (%)")
            axes.set_xlim(left=0)
            axes.grid(axis="y", visible=False)
        _name_rows(grid[0][0], [style.broken(arm.label or "all") for arm in shown])
        _outcome_legend(figure, used)
        return style.finish(
            figure,
            run,
            "What the update costs",
            "A bar is the share of all requests that failed between the update's begin and its end, by "
            "outcome; a dot below it is a trial. Requests fail where a node still sends to a pod that "
            "has ended, and where an ending pod cuts connections that were kept. "
            + style.NO_CONTROL_PLANE_LATENCY
            * (not style.has_delays(run)),
            trials=style.trials_per_arm(run),
        )


def _stacked(axes: Axes, y: int, rows: pd.DataFrame) -> list[str]:
    """Draw one bar; returns the outcomes that it has."""
    if rows.empty:
        return []
    row, left = rows.iloc[0], 0.0
    present = [one for one in OUTCOMES if one in rows.columns and one not in ("ok", "censored")]
    present = [one for one in present if row[one]]
    for one in present:
        width = 100 * row[one] / row["offered"]
        colour, hatch = LOOKS[one]
        axes.barh(y, width, left=left, height=0.4, facecolor=colour, hatch=hatch,
                  edgecolor=style.INK, linewidth=0.5)  # fmt: skip
        left += width
    return present


def over_time(run: Run) -> Figure:
    """A plot per arm: the failed share per 100 ms since the update's begin, new and kept."""
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(max(1, len(shown)), 1, sharex=True, row_in=1.5)
        for (axes,), arm in zip(grid, shown, strict=False):
            mine = [one for one in rollout.updates(run) if one.trial in arm.trials]
            for (name, stream), look in zip(
                rollout.STREAMS.items(), ((style.BLUE, "-"), (style.ORANGE, "--")), strict=True
            ):
                share = failed_share(
                    ((one.of(stream), one.begun_ns) for one in mine), BIN_S, BEFORE_S
                )
                axes.step(share.index, share * 100, where="post", color=look[0], linestyle=look[1],
                          linewidth=1.4, label=_TITLES[name])  # fmt: skip
            ends = [(one.done_ns - one.begun_ns) / 1e9 for one in mine]
            if ends:
                axes.axvspan(0, float(np.mean(ends)), color=style.CALM, zorder=0)
            axes.set_title(style.broken(arm.label or "all"), loc="left")
            axes.set_ylabel("failed (%)")
            axes.set_ylim(0, 105)
        grid[-1][0].set_xlabel("when the request was due, after the update's begin (s)")
        grid[0][0].legend(loc="upper right")
        return style.finish(
            figure,
            run,
            "When requests fail",
            "The failed share of the requests due in each tenth of a second, all trials of an arm "
            "together. The shaded time is the mean update, from the new template to the last old pod's "
            "end. " + style.NO_CONTROL_PLANE_LATENCY * (not style.has_delays(run)),
            trials=style.trials_per_arm(run),
        )


def afterwards(run: Run) -> Figure:
    """A plot per kind of connection: each new pod's share afterwards, in the order in which they came."""
    shown = arms(run)
    from matplotlib.ticker import MaxNLocator

    marks = "osD^vPX*"
    colours = (style.BLUE, style.ORANGE, style.GREEN, style.PINK, style.SKY, style.GREY)
    with style.styled():
        figure, grid = style.new_figure(1, 2, sharey=True, row_in=2.6)
        for axes, (name, stream) in zip(grid[0], rollout.STREAMS.items(), strict=True):
            for at, arm in enumerate(shown):
                look = {"color": colours[at % len(colours)], "marker": marks[at % len(marks)]}
                rows = _shares(run, arm, stream)
                _draw_shares(
                    axes, rows, arm.label or "all", look, (at - len(shown) / 2 + 0.5) * 0.12
                )
            axes.set_title(f"requests on {_TITLES[name]}", loc="left")
            axes.set_xlabel("the new pods, in the order in which they came")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        grid[0][0].set_ylim(bottom=0)
        grid[0][0].set_ylabel("share (%)")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=2)
        return style.finish(
            figure,
            run,
            "Who gets the requests afterwards",
            "Shares of the requests that were due after the update: a pale mark is a trial, a full one "
            "the mean, the dashed line an equal share. A connection that broke when its pod ended was "
            "opened anew to whoever was there by then, and has stayed with it: what falls to the right "
            "on kept connections is an update that was slow enough for them to see one pod after the "
            "other come.",
            trials=style.trials_per_arm(run),
        )


def _shares(run: Run, arm: Arm, stream: str) -> list[NDArray[np.float64]]:
    """Of each of the arm's trials, in per cent."""
    mine = [one for one in rollout.updates(run) if one.trial in arm.trials]
    rows = [rollout.shares_afterwards(one, stream).to_numpy(dtype=float) for one in mine]
    return [100 * row / row.sum() for row in rows if row.size]


def _draw_shares(
    axes: Axes, rows: list[NDArray[np.float64]], label: str, look: dict[str, str], shift: float
) -> None:
    for row in rows:
        axes.plot(np.arange(1, row.size + 1) + shift, row, linestyle="", markersize=4, alpha=0.35,
                  color=look["color"], marker=look["marker"])  # fmt: skip
    if rows and len({row.size for row in rows}) == 1:
        mean = np.mean(rows, axis=0)
        axes.plot(np.arange(1, mean.size + 1) + shift, mean, linestyle="", markersize=8,
                  markeredgecolor=style.INK, markeredgewidth=0.7, label=label,
                  color=look["color"], marker=look["marker"])  # fmt: skip
        axes.axhline(100 / mean.size, color=style.INK, linestyle="--", linewidth=0.9)


def _name_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.5)


def _outcome_legend(figure: Figure, names: list[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=LOOKS[name][0], hatch=LOOKS[name][1], edgecolor=style.INK, linewidth=0.5,
              label=name)
        for name in OUTCOMES
        if name in names
    ]  # fmt: skip
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=6)
