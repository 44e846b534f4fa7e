"""Plots of a DNS pod's death: what became of look-ups, how long the slowest took, and one trial as it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from testbed.analysis import dns_failover
from testbed.analysis.arms import Arm, arms
from testbed.analysis.dns_failover import LATE_MS, LIBRARIES, NAMES, SAME
from testbed.analysis.intervals import over_trials
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    "glibc": (style.BLUE, "o"),
    "musl": (style.ORANGE, "s"),
    "glibc/rotate": (style.GREEN, "^"),
}
_LEAST_MS = 0.1


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a dns-failover run, by the name of its file."""
    return {"outcomes": outcomes(run), "slowest": slowest(run), "one-trial": one_trial(run)}


def outcomes(run: Run) -> Figure:
    """A plot per kind of name; a bar per arm and library: look-ups in trouble, failed and late."""
    shown = arms(run)
    bars = [(arm, library) for arm in shown for library in LIBRARIES]
    with style.styled():
        figure, grid = style.new_figure(1, len(NAMES), sharey=True, row_in=0.8 + 0.42 * len(bars))
        for axes, name in zip(grid[0], NAMES, strict=True):
            for y, (arm, library) in enumerate(bars):
                _bar(axes, y, run, (arm, library, name))
            axes.set_title(f"a name that is {_told(name)}", loc="left")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
            axes.grid(axis="y", visible=False)
            axes.set_xlim(left=0)
        labels = [f"{arm.label}\n{library}" if arm.label else library for arm, library in bars]
        grid[0][0].set_yticks(range(len(bars)), labels)
        grid[0][0].set_ylim(len(bars) - 0.5, -0.5)
        handles, names = grid[0][0].get_legend_handles_labels()
        by_name = dict(zip(names, handles, strict=True))
        figure.legend(list(by_name.values()), list(by_name), loc="outside lower left", ncols=3)
        return style.finish(
            figure,
            run,
            "Of look-ups begun while the dead DNS pod was in service",
            "From the fault until the last look-up that was late or failed, whoever's it was. Late: more than"
            f" {LATE_MS:g} ms; failed: neither yes nor no after all attempts. A bar is the mean over"
            " trials, its"
            " whisker the 95 % interval of both together. glibc/rotate asks the DNS pods themselves, in turn.",
            trials=style.trials_per_arm(run),
        )


def _told(name: str) -> str:
    return "looked up again and again" if name == SAME else "looked up for the first time"


def _bar(axes: Axes, y: int, run: Run, what: tuple[Arm, str, str]) -> None:
    rows = dns_failover.of_arm(run, *what)
    if rows.empty:
        return
    failed, late = float(rows["failed_share"].mean()), float(rows["late_share"].mean())
    axes.barh(y, failed, height=0.7, color=style.ORANGE, hatch="///", edgecolor=style.INK, linewidth=0.5,
              label="failed")  # fmt: skip
    axes.barh(y, late, left=failed, height=0.7, color=style.SKY, edgecolor=style.INK, linewidth=0.5,
              label="late")  # fmt: skip
    both = over_trials(rows["failed_share"] + rows["late_share"])
    if both.low is not None and both.high is not None:
        axes.plot([max(both.low, 0.0), both.high], [y, y], "-", color=style.INK, linewidth=1.2)


def slowest(run: Run) -> Figure:
    """A line per arm: the slowest look-up of a trial, by library."""
    shown = arms(run)
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.8 + 0.55 * len(shown))
        axes = grid[0][0]
        axes.set_xscale("log")
        for y, arm in enumerate(shown):
            for number, library in enumerate(LIBRARIES):
                colour, marker = _LOOKS[library]
                values = dns_failover.of_arm(run, arm, library)["worst_ms"].to_numpy(dtype=float)
                at = y + 0.22 * (number - 1)
                axes.plot(
                    values, np.full(values.size, at), marker, color=colour, markersize=3, alpha=0.4
                )
                mean = over_trials(values, scale="log")
                axes.plot([mean.estimate], [at], marker, color=colour, markersize=6,
                          markeredgecolor=style.INK, markeredgewidth=0.6,
                          label=library if y == 0 else "")  # fmt: skip
                if mean.low is not None and mean.high is not None:
                    axes.plot([mean.low, mean.high], [at, at], "-", color=colour, linewidth=1.8)
        axes.axvline(LATE_MS, color=style.INK, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(shown)), [arm.label or "all" for arm in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("the slowest look-up of a trial (ms)")
        axes.legend(loc="best")
        return style.finish(
            figure,
            run,
            "How long the slowest look-up took",
            "After the fault, of a name that is looked up again and again. A small mark is a trial, the"
            " large one"
            " their geometric mean with its 95 % interval; right of the dotted line a look-up is late."
            " What fails"
            " takes every attempt.",
            trials=style.trials_per_arm(run),
        )


def one_trial(run: Run) -> Figure:
    """A plot per arm, its trial of median trouble: every look-up by when it was begun and how long it took."""
    shown = arms(run)
    table = dns_failover.lookups(run)
    with style.styled():
        figure, grid = style.new_figure(max(len(shown), 1), 1, sharey=True, row_in=1.7)
        for (axes,), arm in zip(grid, shown, strict=True):
            rows = dns_failover.of_arm(run, arm).sort_values("trouble_ms")
            if rows.empty:
                continue
            trial = rows["trial"].iloc[len(rows) // 2]
            mine = table[(table["trial"] == trial) & (table["name"] == SAME)]
            for library in LIBRARIES:
                colour, marker = _LOOKS[library]
                own = mine[mine["library"] == library]
                took = own["took_ms"].clip(lower=_LEAST_MS)
                axes.plot(own["after_s"], took, marker, color=colour, markersize=2.5, alpha=0.6,
                          label=library)  # fmt: skip
                lost = own[~own["answered"]]
                axes.plot(lost["after_s"], lost["took_ms"], "x", color=style.INK, markersize=4)
            axes.axvline(0, color=style.INK, linewidth=0.8)
            axes.set_yscale("log")
            axes.set_ylabel("took (ms)")
            axes.set_title(arm.label or "all", loc="left")
        handles, names = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=3)
        grid[-1][0].set_xlabel("begun, in seconds after the fault")
        return style.finish(
            figure,
            run,
            "One trial of each arm: every look-up of a name that is there",
            "The trial whose trouble lasted typically long. A mark is a look-up; a cross over it: it failed."
            " Rows of marks at the timeout, or at twice the timeout, are look-ups whose socket was bound to the"
            " dead pod.",
            trials=style.trials_per_arm(run),
        )
