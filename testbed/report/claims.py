"""A plot of what is said and what is found: claims by modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from testbed.analysis.multiplicity import corrected
from testbed.analysis.run import Finding, Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {
    "holds": ("o", style.BLUE, "holds"),
    "does not hold": ("X", style.ORANGE, "does not hold"),
    "undecided": ("$?$", style.GREY, "undecided: too few trials or connections"),
}
"""Verdict -> marker, colour, and what the legend says."""


def figures(run: Run, findings: Sequence[Finding]) -> dict[str, Figure]:
    """The one plot of a claims run, by the name of its file."""
    return {"verdicts": verdicts(run, corrected(findings))}


def verdicts(run: Run, findings: Sequence[Finding]) -> Figure:
    """A line per claim, a column per mode."""
    shown = [finding for finding in findings if finding.arm]
    names = list(dict.fromkeys(finding.name for finding in shown))
    modes = list(dict.fromkeys(finding.arm for finding in shown))
    says = {finding.name: finding.question for finding in shown}
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.8 + 0.33 * max(1, len(names)))
        axes = grid[0][0]
        for finding in shown:
            marker, colour, _ = MARKS[finding.verdict]
            x, y = modes.index(finding.arm), names.index(finding.name)
            axes.plot([x], [y], linestyle="", marker=marker, color=colour, markersize=8)
        _legend(axes)
        axes.set_xticks(range(len(modes)), modes, rotation=20 if len(modes) > 4 else 0, ha="center")
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(names)), [_short(says[name]) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(-0.5, len(modes) - 0.5)
        return style.finish(
            figure,
            run,
            "What is said, and what is found",
            "A line is a claim as it is made, a column a proxy mode. What must always be so is refuted by "
            "one attempt that says otherwise; what is so on average is tested against its margin.",
            trials=style.trials_per_arm(run),
        )


def _legend(axes: Axes) -> None:
    for marker, colour, label in MARKS.values():
        axes.plot([], [], linestyle="", marker=marker, color=colour, label=label, markersize=8)
    axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.01), ncols=3)


def _short(text: str, width: int = 72) -> str:
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"
