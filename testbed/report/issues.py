"""Plots of reported issues: how often each of them showed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.analysis.run import Finding, Run
from testbed.issues.findings import findings
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADROOM = 0.04
"""On either side of 0 and 1, so that marks there are seen whole."""


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a known-issues run, by the name of its file."""
    shown = [finding for finding in findings(run) if finding.arm and "rate" in finding.figures]
    return {"rates": rates(run, shown)} if shown else {}


def rates(run: Run, shown: list[Finding]) -> Figure:
    """A line per issue and arm: the share of attempts that showed it, or the bound where none did."""
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.9 + 0.24 * len(shown))
        axes = grid[0][0]
        for y, finding in enumerate(shown):
            found = finding.figures
            if found["rate"]:
                low, high = found.get("ci95_low"), found.get("ci95_high")
                if low is not None and high is not None:
                    ends = [max(0.0, low), min(1.0, high)]
                    axes.plot(ends, [y, y], color=style.ORANGE, linewidth=2)
                axes.plot([found["rate"]], [y], "X", color=style.ORANGE, markersize=8)
            else:
                axes.plot([0, found["rate_below"]], [y, y], color=style.BLUE, linewidth=2)
                axes.plot([0], [y], "o", color=style.BLUE, markersize=6)
        axes.plot([], [], "X", color=style.ORANGE, label="seen: rate, 95 % interval")
        axes.plot([], [], "o", color=style.BLUE, label="not seen: rate below the line's end")
        labels = [f"{_number(finding)} {finding.name}, {finding.arm}" for finding in shown]
        axes.set_yticks(range(len(shown)), labels)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(-HEADROOM, 1 + HEADROOM)
        axes.set_xlabel("share of attempts that showed it")
        axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.06), ncols=2)
        return style.finish(
            figure,
            run,
            "What was reported, and how often it was seen",
            "A line is an issue in one arm; `bug:` says that a fault which has been mended was switched on. "
            "A cross: at least one attempt showed it. A disc: none did, and a rate beyond the end of the "
            "line would have shown in 95 of 100 runs.",
            trials=style.trials_per_arm(run),
        )


def _number(finding: Finding) -> str:
    return finding.question.partition(":")[0]
