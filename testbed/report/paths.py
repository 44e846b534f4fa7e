"""Plots of ways between pods: a matrix of ratios to two plain namespaces, and what services add."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis import paths
from testbed.analysis.arms import Arm, arms
from testbed.analysis.intervals import over_trials
from testbed.analysis.paths import Measure
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = (
    (style.BLUE, "o"), (style.ORANGE, "s"), (style.GREEN, "D"), (style.PINK, "^"),
    (style.SKY, "v"), (style.GREY, "P"),
)  # fmt: skip


def figures(run: Run, margin: float) -> dict[str, Figure]:
    """Every plot of a paths run, by the name of its file. `margin` is one of logarithms."""
    return {"matrix": matrix(run), "services": services(run, margin)}


def matrix(run: Run) -> Figure:
    """A panel per measure, a row per arm, a column per way: times the plain pair's value."""
    shown, ways = arms(run), paths.shown_ways(run)
    with style.styled():
        figure, grid = style.new_figure(
            len(paths.MEASURES), 1, sharex=True, row_in=0.55 + 0.33 * max(1, len(shown))
        )
        for (axes,), measure in zip(grid, paths.MEASURES, strict=True):
            _panel(run, axes, measure, shown, ways)
        names = [style.broken(way.replace("/", "\n")) for way in ways]
        grid[-1][0].set_xticks(range(len(ways)), names)
        return style.finish(
            figure,
            run,
            "Every way, as so many times two plain namespaces",
            "Each cell is a way's value over that of two namespaces joined by one veth pair, measured in "
            "the same round on the same kernel: the geometric mean over trials. Darker is worse: for "
            "packets a larger number, for throughput a smaller one. near: both pods on one node; far: on "
            "two; hairpin: a pod that dials its own service. Packets are timed by the kernel at the "
            "client's interface, SYN to SYN-ACK for the first one, a byte to its acknowledgement for "
            "later ones.",
            trials=style.trials_per_arm(run),
        )


def _panel(
    run: Run, axes: Axes, measure: Measure, shown: Sequence[Arm], ways: Sequence[str]
) -> None:
    values = np.array(
        [[paths.of_arm(run, arm, measure, way).estimate for way in ways] for arm in shown]
    ).reshape(len(shown), len(ways))
    if not values.size:
        return
    worse = -np.log(values) if measure is paths.THROUGHPUT else np.log(values)
    # From as fast as the plain pair (white) to eight times worse.
    axes.imshow(worse, cmap="Blues", aspect="auto", vmin=0.0, vmax=math.log(8))
    for (y, x), value in np.ndenumerate(values):
        dark = worse[y, x] > math.log(8) * 0.6
        axes.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=9,
                  color=style.PAPER if dark else style.INK)  # fmt: skip
    axes.set_title(f"{measure.title}, times plain", loc="left")
    axes.set_yticks(range(len(shown)), [arm.label or "all" for arm in shown])
    axes.grid(visible=False)
    axes.tick_params(length=0)


def services(run: Run, margin: float) -> Figure:
    """A plot per measure, a line per way by a service: over the same two pods straight, with intervals."""
    shown = arms(run)
    rows = [way for way, _ in paths.COMPARED]
    with style.styled():
        figure, grid = style.new_figure(
            1, len(paths.MEASURES), sharey=True, row_in=0.6 + (0.3 + 0.16 * len(shown)) * len(rows)
        )
        for axes, measure in zip(grid[0], paths.MEASURES, strict=True):
            if measure is not paths.FIRST:
                axes.axvspan(100 * math.expm1(-margin), 100 * math.expm1(margin), color=style.CALM)
            axes.axvline(0, color=style.INK, linewidth=0.8)
            for number, arm in enumerate(shown):
                _arm(run, axes, measure, arm, (number, len(shown)))
            axes.set_title(style.wrapped(measure.title, 26), loc="left")
            axes.set_xlabel("by the service, against\nthe pod's own address (%)")
        grid[0][0].set_yticks(range(len(rows)), rows)
        grid[0][0].set_ylim(len(rows) - 0.5, -0.5)
        handles, labels = grid[0][0].get_legend_handles_labels()
        if any(labels):
            figure.legend(handles, labels, loc="outside lower left", ncols=4)
        return style.finish(
            figure,
            run,
            "What a service adds to a way",
            "The same two pods by a cluster address or node port, against the pod's own address: the "
            "geometric mean over trials with its 95 % interval, small marks are trials. Inside the shaded "
            "band (10 %) is what the hypothesis says; the first packet pays for the choice of a pod, and "
            "is not part of it.",
            trials=style.trials_per_arm(run),
        )


def _arm(run: Run, axes: Axes, measure: Measure, arm: Arm, place: tuple[int, int]) -> None:
    """`place`: (which arm, of how many): arms of a way lie one below the other."""
    number, count = place
    colour, marker = _LOOKS[number % len(_LOOKS)]
    for y, pair in enumerate(paths.COMPARED):
        values = np.exp(paths.service_over_pod(run, arm, measure, pair))
        if not values.size:
            continue
        at = y + 0.7 * ((number + 0.5) / count - 0.5)
        axes.plot(100 * (values - 1), np.full(values.size, at), marker, color=colour, markersize=3,
                  alpha=0.4)  # fmt: skip
        mean = over_trials(values, scale="log")
        label = arm.label if y == 0 else ""
        axes.plot([100 * (mean.estimate - 1)], [at], marker, color=colour, markersize=6,
                  markeredgecolor=style.INK, markeredgewidth=0.6, label=label)  # fmt: skip
        if mean.low is not None and mean.high is not None:
            axes.plot([100 * (mean.low - 1), 100 * (mean.high - 1)], [at, at], "-", color=colour,
                      linewidth=1.8)  # fmt: skip
