"""Plots of a partition: requests lost by phase and over time, on both sides; who reached whom meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from testbed.analysis import partition
from testbed.analysis.arms import Arm, arms
from testbed.analysis.outcomes import failed_share
from testbed.analysis.partition import PHASES, SIDES, STREAMS
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN_S = 0.1
BEFORE_S = 1.0
_LOOKS: dict[str, tuple[str, Any, str]] = {
    "near": (style.BLUE, "-", "o"),
    "far": (style.ORANGE, "--", "s"),
}
_TITLES = {"near": "near: with the control plane", "far": "far side"}
_CONNECTIONS = {"new": "new connections", "kept": "kept connections"}


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a partition run, by the name of its file."""
    return {"by-phase": by_phase(run), "over-time": over_time(run), "who-reaches": who_reaches(run)}


def by_phase(run: Run) -> Figure:
    """A row per arm, a plot per kind of connection: the lost share of each side in each phase."""
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(
            max(1, len(shown)), len(STREAMS), sharex=True, sharey=True, row_in=2.2
        )
        for row, arm in zip(grid, shown, strict=False):
            for axes, stream in zip(row, STREAMS, strict=True):
                _bars(run, axes, arm, stream)
                axes.set_title(_titled(arm, _CONNECTIONS[stream]), loc="left")
            row[0].set_ylabel("lost (%)")
        grid[-1][0].set_ylim(0, 118)
        for axes in grid[-1]:
            axes.set_xticks(range(len(PHASES)), PHASES, rotation=25, ha="right")
        _sides_legend(figure)
        return style.finish(
            figure,
            run,
            "Lost requests, by phase",
            "The share of the requests due in a phase that failed, on the mean over trials, which are the "
            "dots; the number is how many requests that was in all. cut: until the far side's pods are found "
            "not ready; noticed: until every near node's rules know; withdrawn: until the partition ends; "
            "healed: until every node's rules have all endpoints again; back: from then on. A phase without "
            "a bar had no request due; one due just before the cut may still be caught by it. "
            + style.NO_CONTROL_PLANE_LATENCY
            * (not style.has_delays(run)),
            trials=style.trials_per_arm(run),
        )


def _bars(run: Run, axes: Axes, arm: Arm, stream: str) -> None:
    table = partition.losses(run)
    table = table[table["trial"].isin(arm.trials) & (table["connections"] == stream)]
    for number, side in enumerate(SIDES):
        colour, _, marker = _LOOKS[side]
        for x, phase in enumerate(PHASES):
            rows = table[(table["side"] == side) & (table["phase"] == phase)]
            shares = 100 * rows["lost_share"].dropna().to_numpy(dtype=float)
            if not shares.size:
                continue
            at = x + 0.4 * (number - 0.5)
            axes.bar(at, shares.mean(), width=0.36, facecolor=colour, edgecolor=style.INK,
                     linewidth=0.5, hatch="" if side == "near" else "//", alpha=0.75)  # fmt: skip
            spread = at + np.linspace(-0.1, 0.1, shares.size)
            axes.plot(spread, shares, marker, color=style.GREY, markersize=3)
            lost = int(rows["failed"].sum())
            axes.annotate(f"{lost:,}", (at, max(shares.max(), 0.0)), (0, 3), ha="center",
                          textcoords="offset points", fontsize=9)  # fmt: skip
    axes.grid(axis="x", visible=False)


def _titled(arm: Arm, what: str) -> str:
    return style.broken(f"{arm.label}: {what}") if arm.label else what


def over_time(run: Run) -> Figure:
    """A plot per arm: the failed share of new connections of each side, around the cut."""
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(max(1, len(shown)), 1, row_in=1.9)
        for (axes,), arm in zip(grid, shown, strict=False):
            mine = [one for one in partition.parted(run) if one.trial in arm.trials]
            for side, (colour, line, _) in _LOOKS.items():
                share = failed_share(
                    ((one.of("new", side), one.begins_ns["cut"]) for one in mine), BIN_S, BEFORE_S
                )
                axes.step(share.index, share * 100, where="post", color=colour, linestyle=line,
                          linewidth=1.4)  # fmt: skip
            _phases(axes, mine)
            axes.set_ylim(-3, 118)
            axes.set_yticks(range(0, 101, 25))
            axes.set_ylabel("failed (%)")
            if arm.label:
                axes.set_title(arm.label, loc="left", pad=16)
        grid[-1][0].set_xlabel("when the request was due, after the partition began (s)")
        _sides_legend(figure)
        return style.finish(
            figure,
            run,
            "Who loses requests, and when",
            "The failed share of the new connections due in each tenth of a second, all trials of an arm "
            "together; 0 is the partition's beginning. Lines are where phases begin, on the mean over "
            "trials; the partition lasts from cut to healed (shaded). "
            + style.NO_CONTROL_PLANE_LATENCY
            * (not style.has_delays(run)),
            trials=style.trials_per_arm(run),
        )


def _phases(axes: Axes, mine: list[partition.Parted]) -> None:
    """Lines at the mean beginnings, named above the plot unless too close to the last name."""
    at: dict[str, float] = {}
    for phase in PHASES[1:]:
        begins = [
            (one.begins_ns[phase] - one.begins_ns["cut"]) / 1e9
            for one in mine
            if phase in one.begins_ns
        ]
        if begins:
            at[phase] = float(np.mean(begins))
    if "healed" in at:
        axes.axvspan(0, at["healed"], color=style.CALM, zorder=0)
    low, high = axes.get_xlim()
    level, last = 0, -np.inf
    for phase, x in at.items():
        axes.axvline(x, color=style.INK, linewidth=0.8, linestyle=":")
        level = level + 1 if x - last < (high - low) / 12 else 0
        axes.annotate(phase, (x, 116 - 14 * level), (3, 0), textcoords="offset points",
                      fontsize=9, va="top")  # fmt: skip
        last = x


def who_reaches(run: Run) -> Figure:
    """A plot per arm: from each client's node to each backend's, the share of trials that reached."""
    shown = arms(run)
    columns = min(3, max(1, len(shown)))
    with style.styled():
        figure, grid = style.new_figure(-(-max(1, len(shown)) // columns), columns, row_in=2.2)
        flat = [axes for row in grid for axes in row]
        for axes, arm in zip(flat, shown, strict=False):
            _matrix(run, axes, arm)
        for axes in flat[len(shown) :]:
            axes.set_visible(False)
        return style.finish(
            figure,
            run,
            "Who reaches whom while parted",
            "From a client on each node to the backend on each node, asked while the partition lasted: the "
            "share of trials in which a connection came about and packets of full size came both ways.",
            trials=style.trials_per_arm(run),
        )


def _matrix(run: Run, axes: Axes, arm: Arm) -> None:
    rows = [row for trial in arm.trials for row in partition.reach_of(run, trial)]
    nodes = sorted({name for row in rows for name in row[:2]})
    axes.set_title(style.broken(arm.label or "all"), loc="left")
    axes.grid(visible=False)
    if not nodes:
        return
    share = np.full((len(nodes), len(nodes)), np.nan)
    for y, source in enumerate(nodes):
        for x, target in enumerate(nodes):
            said = [row[2] == "reached" for row in rows if row[:2] == (source, target)]
            if said:
                share[y, x] = np.mean(said)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.3)
    for (y, x), value in np.ndenumerate(share):
        if not np.isnan(value):
            axes.text(x, y, f"{value:.0%}", ha="center", va="center", fontsize=9,
                      color=style.PAPER if value > 0.6 else style.INK)  # fmt: skip
    axes.set_xticks(
        range(len(nodes)), [f"web on {name}" for name in nodes], rotation=30, ha="right"
    )
    axes.set_yticks(range(len(nodes)), [f"client on {name}" for name in nodes])


def _sides_legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, linestyle=line, marker=marker, label=_TITLES[side])
        for side, (colour, line, marker) in _LOOKS.items()
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
