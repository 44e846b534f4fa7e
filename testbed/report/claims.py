"""Plots of what is said and what is found: claims by modes, and how long a crash is felt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from testbed.analysis.multiplicity import corrected
from testbed.analysis.run import Finding, Run
from testbed.claims.findings import observations
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
    """Every plot of a claims run, by the name of its file."""
    drawn = {"verdicts": verdicts(run, corrected(findings))}
    windows = crash_windows(run)
    return drawn if windows is None else {**drawn, "crash-windows": windows}


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
        labels = [mode.replace(", ", ",\n") for mode in modes]  # the pod network above the mode
        axes.set_xticks(
            range(len(modes)), labels, rotation=20 if len(modes) > 4 else 0, ha="center"
        )
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(names)), [style.wrapped(says[name], 72) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(-0.5, len(modes) - 0.5)
        return style.finish(
            figure,
            run,
            "What is said, and what is found",
            "A line is a claim as it is made, a column a proxy mode: a disc where it holds, a cross where it "
            "does not, a question mark where these trials cannot tell. What must always be so is refuted "
            "by one attempt that says otherwise; what is so on average is tested against its margin.",
            trials=style.trials_per_arm(run),
        )


def _legend(axes: Axes) -> None:
    for marker, colour, label in MARKS.values():
        axes.plot([], [], linestyle="", marker=marker, color=colour, label=label, markersize=8)
    axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.01), ncols=3)


def crash_windows(run: Run) -> Figure | None:
    """A line per kind of traffic and mode: how long after a crash requests were lost, trial by trial; None
    where no trial crashed a pod.
    """
    modes = [str(mode) for mode in run.meta["factors"]["proxy"]]
    lines = [
        (label, mode, seen)
        for claim, label in CRASHES.items()
        for mode in modes
        if (seen := [one for one in observations(run, claim, mode) if one["flows"]])
    ]
    if not lines:
        return None
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.8 + 0.3 * len(lines))
        axes = grid[0][0]
        for y, (_, _, seen) in enumerate(lines):
            lost = [float(one["until_ms"]) for one in seen]
            axes.plot(lost, [y] * len(lost), "o", color=style.BLUE, markersize=6)
            known = [one["withdrawn_ms"] for one in seen if one["withdrawn_ms"] is not None]
            axes.plot(known, [y] * len(known), "|", color=style.ORANGE, markersize=13, mew=2)
        axes.plot([], [], "o", color=style.BLUE, label="last request that failed")
        axes.plot([], [], "|", color=style.ORANGE, markersize=13, mew=2,
                  label="every node's rules lack the pod")  # fmt: skip
        axes.set_yticks(range(len(lines)), [f"{label}, {mode}" for label, mode, _ in lines])
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("after the crash (ms)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=2)
        return style.finish(
            figure,
            run,
            "From when on does a crashed pod get no more traffic?",
            "A mark is a trial. New connections are lost until the client's node has programmed the "
            "withdrawal; a kept TCP connection breaks at once; a kept UDP flow goes on to the dead pod "
            "until its conntrack entry is deleted. 0: nothing was lost.",
            trials=style.trials_per_arm(run),
        )


CRASHES = {
    "crash-new-tcp": "new TCP connections",
    "crash-kept-tcp": "kept TCP connections",
    "crash-new-udp": "new UDP sockets",
    "crash-kept-udp": "kept UDP sockets",
}
"""Claim -> the traffic that it is about."""
