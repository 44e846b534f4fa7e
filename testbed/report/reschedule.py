"""Plots of a pod that moves: what survives, and when whose requests fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testbed.analysis import reschedule
from testbed.analysis.arms import arms
from testbed.analysis.intervals import over_trials
from testbed.analysis.outcomes import failed_share
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN_S = 0.1
BEFORE_S = 1.0
_PARTS = {
    "tcp_survive_share": "TCP connections",
    "udp_survive_share": "UDP sockets",
    "direct_back": "its own address, dialled anew",
}
"""Column -> what it is about."""
_LINES = {
    "new": ("new connections to the service", style.BLUE, "-"),
    "kept": ("kept connections", style.ORANGE, "--"),
    "udp": ("UDP sockets", style.GREEN, "-."),
    "direct": ("new connections to the pod's own address", style.INK, ":"),
}


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a reschedule run, by the name of its file."""
    return {"survival": survival(run), "over-time": over_time(run)}


def survival(run: Run) -> Figure:
    """A line per arm, a plot per kind of client: the share that is answered again."""
    table, shown = reschedule.metrics(run), arms(run)
    with style.styled():
        figure, grid = style.new_figure(1, 3, sharey=True, row_in=0.8 + 0.5 * max(1, len(shown)))
        for axes, (column, title) in zip(grid[0], _PARTS.items(), strict=True):
            for y, arm in enumerate(shown):
                rows = table.loc[table["trial"].isin(arm.trials)]
                _line(axes, y, (rows[column].dropna() * 100).to_numpy(dtype=float))
            axes.set_title(title, loc="left")
            axes.set_xlim(-6, 106)
            axes.set_xlabel("answered again (%)")
            axes.grid(axis="y", visible=False)
        grid[0][0].set_yticks(
            range(len(shown)), [style.broken(arm.label or "all") for arm in shown]
        )
        grid[0][0].set_ylim(len(shown) - 0.4, -0.6)
        return style.finish(
            figure,
            run,
            "What survives when a pod moves",
            "Of the TCP connections and UDP sockets that were with the pod, the share on which somebody "
            "answered after its successor had come; on the right, the share of trials in which the pod's "
            "own address was answered again. A grey dot is a trial, the diamond their mean with its 95 % "
            "interval. A TCP connection is known to the pod that has gone alone; a UDP socket only needs "
            "somebody to answer.",
            trials=style.trials_per_arm(run),
        )


def _line(axes: Axes, y: int, values: NDArray[np.float64]) -> None:
    axes.plot(values, y + np.linspace(0.12, 0.32, max(1, values.size))[: values.size], "o",
              color=style.GREY, markersize=3.5)  # fmt: skip
    if not values.size:
        return
    mean = over_trials(values)
    axes.plot([mean.estimate], [y], "D", markersize=6, color=style.BLUE)
    if mean.low is not None and mean.high is not None:
        axes.plot([max(0.0, mean.low), min(100.0, mean.high)], [y, y], "-", color=style.BLUE,
                  linewidth=1.8)  # fmt: skip


def over_time(run: Run) -> Figure:
    """A plot per arm: the failed share of each kind of request, around the move."""
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(max(1, len(shown)), 1, row_in=1.7)
        for (axes,), arm in zip(grid, shown, strict=False):
            mine = [move for move in reschedule.moves(run) if move.trial in arm.trials]
            for name, (label, colour, line) in _LINES.items():
                stream = reschedule.STREAMS[name]
                share = failed_share(
                    ((move.of(stream), move.t0_ns) for move in mine), BIN_S, BEFORE_S
                )
                axes.step(share.index, share * 100, where="post", color=colour, linestyle=line,
                          linewidth=1.4, label=label)  # fmt: skip
            axes.axvline(0, color=style.INK, linewidth=1)
            back = [(move.back_ns - move.t0_ns) / 1e9 for move in mine if move.back_ns is not None]
            if back:
                axes.axvspan(0, float(np.mean(back)), color=style.CALM, zorder=0)
            axes.set_title(arm.label or "all", loc="left")
            axes.set_ylabel("failed (%)")
            axes.set_ylim(-3, 105)
        grid[-1][0].set_xlabel("when the request was due, after the move began (s)")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=2)
        return style.finish(
            figure,
            run,
            "Whose requests fail, and when",
            "The failed share of the requests due in each tenth of a second, all trials of an arm "
            "together; 0 is the deletion, or the loss of power. Shaded: until the successor was an "
            "endpoint, on the mean. Of the service's clients only those fail who are sent to the moved "
            "pod; who dials its own address depends on it alone. "
            + style.NO_CONTROL_PLANE_LATENCY
            * (not style.has_delays(run)),
            trials=style.trials_per_arm(run),
        )
