"""Plots of failover: the phases of all trials, and every arm's requests around the fault."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from testbed.analysis import failover
from testbed.analysis.arms import Arm, arms
from testbed.analysis.phases import PHASES, Trial, trials_of
from testbed.analysis.run import Run
from testbed.report import style
from testbed.report.timeline import timeline
from testbed.traffic.samples import OUTCOMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN_MS = 100.0
BEFORE_MS = 1_000.0
"""How much of the time before the fault is shown."""

LOOKS: dict[str, tuple[str, str]] = {
    "ok": (style.CALM, ""),
    "refused": (style.ORANGE, "////"),
    "reset": (style.PINK, "\\\\\\\\"),
    "closed": (style.SKY, "----"),
    "timeout": (style.BLUE, "xxxx"),
    "unreachable": (style.GREEN, "...."),
    "dns_error": ("#f0e442", "||||"),
    "http_error": ("#d55e00", "++++"),
    "wrong_backend": ("#f5f5f5", "oooo"),
    "client_error": ("#000000", ""),
    "censored": (style.GREY, "**"),
}
"""Colour and hatch of each outcome, the same in every figure."""


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a failover run, by the name of its file."""
    found = {"phases": phases(run)}
    for arm in arms(run):
        fault = failover.fault_of(run, arm)
        name = _file_name(arm, fault)
        if (drawn := timeline(run, arm)) is not None:
            found[f"timeline-{name}"] = drawn
        if (drawn := requests(run, arm)) is not None:
            found[f"requests-{name}"] = drawn
    return found


def _file_name(arm: Arm, fault: str) -> str:
    label = arm.label.replace("fault=", "") or fault or "all"
    return "-".join("".join(c if c.isalnum() or c in "._" else " " for c in label).split())


def phases(run: Run) -> Figure:
    """Every trial's phases, one plot for each arm; times on a logarithmic axis."""
    table = failover.metrics(run)
    intervals = failover.phase_intervals(run)
    groups = [arm for arm in arms(run) if intervals[arm.label]]
    columns = min(3, max(1, len(groups)))
    with style.styled():
        figure, grid = style.new_figure(
            -(-len(groups) // columns) or 1, columns, sharey=True, row_in=3.1
        )
        flat = [axes for row in grid for axes in row]
        for axes, arm in zip(flat, groups, strict=False):
            _phase_plot(axes, table[table["trial"].isin(arm.trials)], intervals[arm.label])
            axes.set_title(style.broken(arm.label or failover.fault_of(run, arm)), loc="left")
        for axes in flat[len(groups) :]:
            axes.set_axis_off()
        for row in grid:
            row[0].set_ylabel("time after the fault (s)")
        _phase_legend(figure)
        return style.finish(
            figure,
            run,
            "Phases of the failover",
            "A dot is a trial: the latest of its nodes and clients (outage: how long it lasted). "
            "The diamond is the typical time with its 95 % interval over trials, a triangle a "
            "trial that did not get there while it was watched. Read from left to right: the step "
            "at which the dots rise is the one that costs the time. "
            + style.NO_CONTROL_PLANE_LATENCY
            * (not style.has_delays(run)),
            trials=style.trials_per_arm(run),
        )


def _phase_plot(axes: Axes, rows: pd.DataFrame, intervals: Any) -> None:
    axes.set_yscale("log")
    shown = [phase for phase in PHASES if phase in intervals]
    for x, phase in enumerate(shown):
        known = rows[rows[f"{phase}_ms"].notna()]
        times = known[f"{phase}_ms"].to_numpy(dtype=float) / 1e3
        lost = known[f"{phase}_censored"].astype(bool).to_numpy()
        spread = x + (np.linspace(-0.3, -0.08, times.size) if times.size > 1 else np.full(1, -0.2))
        axes.plot(spread[~lost], times[~lost], "o", color=style.GREY, markersize=4,
                  markeredgecolor=style.INK, markeredgewidth=0.5)  # fmt: skip
        axes.plot(spread[lost], times[lost], "^", color=style.PAPER, markersize=7,
                  markeredgecolor=style.INK)  # fmt: skip
        _interval_bar(axes, x + 0.18, intervals[phase])
    axes.set_xticks(range(len(shown)), shown, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = axes.get_ylim()
    # Within two decades the powers of ten alone would name too little of the axis.
    between = "25" if high < 100 * low else ""
    axes.yaxis.set_minor_formatter(
        lambda value, _: f"{value:g}" if f"{value:e}"[0] in between else ""
    )


def _interval_bar(axes: Axes, x: float, interval: Any) -> None:
    if interval.low is None or not math.isfinite(interval.estimate):
        return
    centre = interval.estimate / 1e3
    low = interval.low / 1e3 if math.isfinite(interval.low) else centre
    high = interval.high / 1e3 if math.isfinite(interval.high) else centre
    axes.errorbar([x], [centre], yerr=[[max(0.0, centre - low)], [max(0.0, high - centre)]],
    fmt="D", markersize=5.5, color=style.BLUE, capsize=4, linewidth=1.8)  # fmt: skip


def _phase_legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    figure.legend(
        handles=[
            Line2D([], [], marker="o", color=style.GREY, markeredgecolor=style.INK, linestyle="",
                   markersize=4, label="a trial"),
            Line2D([], [], marker="^", color=style.PAPER, markeredgecolor=style.INK, linestyle="",
                   markersize=7, label="not reached while watched (at least)"),
            Line2D([], [], marker="D", color=style.BLUE, label="typical, 95 % over trials"),
        ],
        loc="outside lower left",
        ncols=3,
    )  # fmt: skip


def requests(run: Run, arm: Arm) -> Figure | None:
    """Requests per 100 ms around the fault by outcome, on new and on kept connections."""
    trials = [what for trial, what in trials_of(run) if trial in arm.trials]
    streams = [
        (name, counts)
        for name, stream in (("new", failover.NEW), ("kept", failover.KEPT))
        if (counts := _binned(trials, stream)) is not None
    ]
    if not streams:
        return None
    with style.styled():
        figure, grid = style.new_figure(len(streams), 1, sharex=True, row_in=2.3)
        used: list[str] = []
        for (axes,), (name, counts) in zip(grid, streams, strict=True):
            used += [name for name in _stack(axes, counts) if name not in used]
            axes.set_title(f"on {name} connections", loc="left")
            axes.set_ylabel("requests per 100 ms")
            axes.axvline(0, color=style.INK, linestyle="--", linewidth=1.4)
        grid[-1][0].set_xlabel("when the request was due, after the fault (s)")
        _outcome_legend(figure, used)
        return style.finish(
            figure,
            run,
            f"Requests around the fault: {arm.label or failover.fault_of(run, arm)}",
            "Requests by outcome in bins of 100 ms, by the time at which they were due, mean of "
            "all trials of the arm; the dashed line is the fault. While the dead backend is still "
            "picked, its share of the requests fails; with several backends an outage is a "
            "probability, not a gap. "
            + style.NO_CONTROL_PLANE_LATENCY
            * (not style.has_delays(run)),
            trials=f"n = {len(trials)} trials",
        )


def _binned(trials: list[Trial], stream: str) -> pd.DataFrame | None:
    """Mean count over trials: a row per bin (its begin in ms after the fault), a column an
    outcome.
    """
    parts = []
    watching = pd.Series(dtype=float)
    for what in trials:
        rows = what.samples
        if "stream" not in rows.columns:
            return None
        rows = rows[rows["stream"] == stream]
        due = rows["scheduled_ns"].astype(float).fillna(rows["start_ns"].astype(float))
        begin = np.floor((due - what.t0_ns) / 1e6 / BIN_MS) * BIN_MS
        keep = begin >= -BEFORE_MS
        if keep.any():
            whole = np.arange(begin[keep].min(), begin[keep].max() + BIN_MS / 2, BIN_MS)
            watching = watching.add(pd.Series(1.0, index=whole), fill_value=0)
        parts.append(pd.DataFrame({"bin": begin[keep], "outcome": rows["outcome"][keep]}))
    joined = pd.concat(parts) if parts else pd.DataFrame()
    if joined.empty:
        return None
    counts = joined.groupby(["bin", "outcome"], observed=True).size().unstack(fill_value=0)
    # Trials begin and end at different times: a bin is the mean of those that were watched then,
    # and where few were, there is nothing typical to show.
    watching = watching[watching >= len(trials) / 2]
    return counts.reindex(watching.index, fill_value=0).div(watching, axis=0)


def _stack(axes: Axes, counts: pd.DataFrame) -> list[str]:
    """Draw the bins, failures above what went well; returns the outcomes that occurred."""
    present = [name for name in OUTCOMES if name in counts.columns]
    left = counts.index.to_numpy(dtype=float) / 1e3
    edges = np.append(left, left[-1] + BIN_MS / 1e3)
    base = np.zeros(len(counts))
    for name in present:
        colour, hatch = LOOKS[name]
        top = base + counts[name].to_numpy(dtype=float)
        axes.stairs(top, edges, baseline=base, fill=True, facecolor=colour, hatch=hatch,
                    edgecolor=style.INK if name != "ok" else colour, linewidth=0)  # fmt: skip
        base = top
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, max(1.0, float(base.max())) * 1.08)
    return present


def _outcome_legend(figure: Figure, names: list[str]) -> None:
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=LOOKS[name][0], hatch=LOOKS[name][1], edgecolor=style.INK, linewidth=0.5,
              label=name)
        for name in OUTCOMES
        if name in names
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower left", ncols=6)
