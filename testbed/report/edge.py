"""Plots of a node lost behind a load balancer: losses by phase, by cause and over time; the ways in before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from testbed.analysis import edge
from testbed.analysis.arms import Arm, arms
from testbed.analysis.edge import PHASES, STREAMS
from testbed.analysis.outcomes import failed_share
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN_S = 0.1
BEFORE_S = 1.0
_LOOKS: dict[str, tuple[str, Any, str]] = {
    "new": (style.BLUE, "-", ""),
    "kept": (style.ORANGE, "--", "//"),
}
_TITLES = {"new": "new connections", "kept": "requests on kept connections"}
_WAYS = {
    "source_kept_share": "pods see the client",
    "two_hops_share": "sent on to another node",
    "jain_backends": "Jain, backends",
    "jain_entries": "Jain, nodes it comes in by",
}


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a run, by the name of its file."""
    return {
        "by-phase": by_phase(run),
        "over-time": over_time(run),
        "by-cause": by_cause(run),
        "ways-in": ways_in(run),
    }


def by_phase(run: Run) -> Figure:
    """A plot per arm: the lost share of new and kept connections in each phase."""
    with style.styled():
        figure, flat = _grid(run)
        for axes, arm in flat:
            _bars(run, axes, arm)
        _legend(figure)
        return style.finish(
            figure,
            run,
            "Lost requests, by phase",
            "The share of the requests due in a phase that failed, on the mean over trials, which are the "
            "dots; the number is how many requests that was in all. blind: from the node's loss until the way "
            "in avoids it; noticed: until every other node's rules have lost its endpoints; over: from then "
            "on. A phase without a bar had no request due. Kept connections that went by the node fail once "
            "and are made anew. " + style.NO_CONTROL_PLANE_LATENCY * (not style.has_delays(run)),
            trials=style.trials_per_arm(run),
        )


def _bars(run: Run, axes: Axes, arm: Arm) -> None:
    table = edge.table(run)
    table = table[table["trial"].isin(arm.trials)]
    for number, (stream, (colour, _, hatch)) in enumerate(_LOOKS.items()):
        for x, phase in enumerate(PHASES):
            rows = table[(table["connections"] == stream) & (table["phase"] == phase)]
            shares = 100 * rows["lost_share"].dropna().to_numpy(dtype=float)
            if not shares.size:
                continue
            at = x + 0.4 * (number - 0.5)
            axes.bar(at, shares.mean(), width=0.36, facecolor=colour, edgecolor=style.INK,
                     linewidth=0.5, hatch=hatch, alpha=0.75)  # fmt: skip
            axes.plot(at + np.linspace(-0.1, 0.1, shares.size), shares, "o", color=style.GREY,
                      markersize=3)  # fmt: skip
            lost = int(rows["failed"].sum())
            axes.annotate(f"{lost:,}", (at, shares.max()), (0, 3), ha="center",
                          textcoords="offset points", fontsize=9)  # fmt: skip
    axes.set_title(style.broken(arm.label or "all"), loc="left")
    axes.set_xticks(range(len(PHASES)), PHASES)
    axes.set_ylim(0, 118)
    axes.set_ylabel("lost (%)")
    axes.grid(axis="x", visible=False)


def over_time(run: Run) -> Figure:
    """A plot per arm: the failed share of new connections and kept ones around the loss."""
    with style.styled():
        figure, flat = _grid(run)
        for axes, arm in flat:
            mine = [one for one in edge.losses(run) if one.trial in arm.trials]
            for stream, (colour, line, _) in _LOOKS.items():
                share = failed_share(
                    ((one.of(stream), one.begins_ns["blind"]) for one in mine), BIN_S, BEFORE_S
                )
                axes.step(share.index, share * 100, where="post", color=colour, linestyle=line,
                          linewidth=1.3)  # fmt: skip
            _phases(axes, mine)
            axes.set_title(style.broken(arm.label or "all"), loc="left")
            axes.set_ylim(-3, 118)
            axes.set_ylabel("failed (%)")
            axes.set_xlabel("due, after the node was lost (s)")
        _legend(figure)
        return style.finish(
            figure,
            run,
            "What is lost, and when",
            "The failed share of the requests due in each tenth of a second, all trials of an arm together; 0 "
            "is when the node lost its power. Dotted lines are where phases begin, on the mean over trials. "
            + style.NO_CONTROL_PLANE_LATENCY
            * (not style.has_delays(run)),
            trials=style.trials_per_arm(run),
        )


def _phases(axes: Axes, mine: list[edge.Loss]) -> None:
    for number, phase in enumerate(PHASES[1:]):
        begins = [
            (one.begins_ns[phase] - one.begins_ns["blind"]) / 1e9
            for one in mine
            if phase in one.begins_ns
        ]
        if begins:
            x = float(np.mean(begins))
            axes.axvline(x, color=style.INK, linewidth=0.8, linestyle=":")
            axes.annotate(phase, (x, 116 - 13 * number), (3, 0), textcoords="offset points",
                          fontsize=9, va="top")  # fmt: skip


def by_cause(run: Run) -> Figure:
    """A line per arm and kind of connection: failed requests a trial, by how they failed."""
    table = edge.causes(run)
    outcomes = sorted(table["outcome"].unique())
    colours = (style.BLUE, style.ORANGE, style.GREEN, style.PINK, style.SKY, style.GREY)
    lines = [(arm, stream) for arm in arms(run) for stream in STREAMS]
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.9 + 0.36 * max(1, len(lines)))
        axes = grid[0][0]
        left = np.zeros(len(lines))
        for number, outcome in enumerate(outcomes):
            mean = np.array([_mean(table, arm, stream, outcome) for arm, stream in lines])
            colour = colours[number % len(colours)]
            axes.barh(range(len(lines)), mean, left=left, color=colour, label=outcome, height=0.6,
                      hatch=("", "//", "..", "xx", "\\\\", "++")[number % 6],
                      edgecolor=style.INK, linewidth=0.4)  # fmt: skip
            left += mean
        labels = [f"{arm.label or 'all'}: {stream}" for arm, stream in lines]
        axes.set_yticks(range(len(lines)), labels)
        axes.invert_yaxis()
        axes.set_xlabel("failed requests a trial, after the node was lost")
        if outcomes:
            figure.legend(loc="outside lower left", ncols=len(outcomes))
        return style.finish(
            figure,
            run,
            "How they failed",
            "Mean over trials. timeout: no answer within the request's time; reset and refused: somebody said "
            "no; closed: the connection ended without an answer.",
            trials=style.trials_per_arm(run),
        )


def _mean(table: pd.DataFrame, arm: Arm, stream: str, outcome: str) -> float:
    rows = table[table["trial"].isin(arm.trials)]
    rows = rows[(rows["connections"] == stream) & (rows["outcome"] == outcome)]
    return float(rows["requests"].sum()) / max(1, len(arm.trials))


def ways_in(run: Run) -> Figure:
    """A plot per figure of the ways in, a line per arm: trials as dots, their mean."""
    shown, rows = arms(run), edge.metrics(run)
    with style.styled():
        figure, grid = style.new_figure(
            1, len(_WAYS), sharey=True, row_in=0.9 + 0.3 * max(1, len(shown))
        )
        for axes, (name, title) in zip(grid[0], _WAYS.items(), strict=True):
            for y, arm in enumerate(shown):
                mine = rows[rows["trial"].isin(arm.trials)] if len(rows) else rows
                values = mine[name].dropna().to_numpy(dtype=float) if name in mine else np.array([])
                axes.plot(values, np.full(values.size, y), "o", color=style.GREY, markersize=3)
                if values.size:
                    axes.plot([values.mean()], [y], "D", color=style.BLUE, markersize=6)
            axes.set_title(style.wrapped(title, 20), loc="left")
            axes.set_xlim(-0.05, 1.05)
        grid[0][0].set_yticks(range(len(shown)), [arm.label or "all" for arm in shown])
        grid[0][0].set_ylim(len(shown) - 0.5, -0.5)
        return style.finish(
            figure,
            run,
            "How connections came in before the loss",
            "Shares of connections that were followed from outside to their pod, and Jain's fairness index (1: "
            "all alike, 1/3: one of three has everything) of answers over backends and of connections over the "
            "nodes that they came in by. A diamond is the mean over trials, which are the dots.",
            trials=style.trials_per_arm(run),
        )


def _grid(run: Run) -> tuple[Figure, list[tuple[Axes, Arm]]]:
    """A figure with a plot per arm, two in a row."""
    shown = arms(run)
    columns = min(2, max(1, len(shown)))
    figure, grid = style.new_figure(-(-max(1, len(shown)) // columns), columns, row_in=2.3)
    flat = [axes for row in grid for axes in row]
    for axes in flat[len(shown) :]:
        axes.set_visible(False)
    return figure, list(zip(flat, shown, strict=False))


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, linestyle=line, linewidth=3, label=_TITLES[stream])
        for stream, (colour, line, _) in _LOOKS.items()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
