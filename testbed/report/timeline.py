"""The failover timeline: one trial's phases, a row for the control plane and one for each node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from testbed.analysis import failover
from testbed.analysis.arms import Arm
from testbed.analysis.phases import Phase, phases_of, trials_of
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONTROL_PLANE = "control plane"

MARKS: dict[str, tuple[str, str, str]] = {
    "fault": ("X", style.INK, "fault"),
    "detect": ("v", style.PINK, "detect: pod not ready"),
    "withdraw": ("s", style.ORANGE, "withdraw: endpoint not ready"),
    "effective": ("o", style.BLUE, "effective: last new entry to it"),
    "recover": ("D", style.GREEN, "recover: no more failures"),
}
"""Marker, colour and name of the phases that are instants."""


_LANES = {"detect": -0.17, "withdraw": 0.17, "effective": -0.17, "recover": 0.13}
"""What often falls together stands a little apart: upwards is negative."""


def timeline(run: Run, arm: Arm) -> Figure | None:
    """The arm's trial of median recovery; where its end is crowded, a second plot enlarges it."""
    chosen = _typical_trial(run, arm)
    if chosen is None:
        return None
    trial, phases = chosen
    nodes = sorted({phase.where for phase in phases if phase.where})
    last = max(phase.end_ms for phase in phases)
    views = [("from the fault on", (-0.04 * last, 1.06 * last))]
    if (closer := _close_up(phases))[0] > 0:
        views.append(("the end of it, enlarged", closer))
    with style.styled():
        height_in = 0.55 * (len(nodes) + 1) + 1.2
        figure, grid = style.new_figure(1, len(views), sharey=True, row_in=height_in)
        for axes, (name, limits) in zip(grid[0], views, strict=True):
            _draw(axes, phases, nodes)
            axes.set_xlim(*limits)
            axes.set_title(name, loc="left")
        _legend(figure, phases)
        return style.finish(
            figure,
            run,
            f"Timeline of a failover: {arm.label or failover.fault_of(run, arm)}",
            f"Trial {trial}, the one of median recovery. The widest gap is where the time goes: the "
            "store learns of the fault and withdraws the endpoint, each node's proxy programs its "
            "rules (bar: from the tool's start to its return), the node makes its last new entry "
            "to the dead backend, and from some request on none fails. A hollow mark "
            "was not reached while watched. "
            + style.NO_CONTROL_PLANE_LATENCY
            * (not style.has_delays(run)),
            trials=f"1 of {len(arm.trials)} trials",
        )


def _typical_trial(run: Run, arm: Arm) -> tuple[Any, tuple[Phase, ...]] | None:
    """The arm's trial whose recovery is the median one (the lower of two)."""
    found = [(trial, phases_of(what)) for trial, what in trials_of(run) if trial in arm.trials]
    if not found:
        return None
    ranked = sorted(found, key=lambda item: _recovery_ms(item[1]))
    return ranked[(len(ranked) - 1) // 2]


def _recovery_ms(phases: Sequence[Phase]) -> float:
    return max((phase.end_ms for phase in phases if phase.name == "recover"), default=0.0)


def _close_up(phases: Sequence[Phase]) -> tuple[float, float]:
    """From a little before the first phase to a little after the last, of those that were reached.

    A client may have seen its last failure long before: the last fifth of the time is enough.
    """
    reached = [p.begin_ms for p in phases if not p.censored and p.name != "outage"] or [0.0]
    last = max((phase.end_ms for phase in phases if not phase.censored), default=1.0)
    begin = max(min(reached), 0.8 * last) if min(reached) > 0.1 * last else min(reached)
    width = max(last - begin, 1.0)
    return begin - 0.1 * width, begin + 1.12 * width


def _draw(axes: Axes, phases: Sequence[Phase], nodes: Sequence[str]) -> None:
    rows = {"": 0} | {node: row for row, node in enumerate(nodes, start=1)}
    axes.axvline(0, color=style.INK, linestyle="--", linewidth=1)
    _mark(axes, "fault", 0.0, 0, censored=False)
    for phase in phases:
        row = rows[phase.where]
        if phase.name == "program" and not phase.censored:
            axes.barh(row, phase.end_ms - phase.begin_ms, left=phase.begin_ms, height=0.56,
                      facecolor=style.SKY, edgecolor=style.INK, hatch="////", linewidth=0.8,
                      zorder=2)  # fmt: skip
        elif phase.name == "outage":
            axes.plot([phase.begin_ms, phase.end_ms], [row + 0.36] * 2, color=style.INK,
                      linewidth=2.5, solid_capstyle="butt", zorder=2)  # fmt: skip
        elif phase.name in MARKS:
            _mark(axes, phase.name, phase.end_ms, row, censored=phase.censored)
    axes.set_yticks(range(len(nodes) + 1), [CONTROL_PLANE, *nodes])
    axes.set_ylim(len(nodes) + 0.6, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("time after the fault (ms)")


def _mark(axes: Axes, name: str, at_ms: float, row: int, *, censored: bool) -> None:
    marker, colour, _ = MARKS[name]
    axes.plot(
        [at_ms],
        [row + _LANES.get(name, 0.0)],
        marker,
        markersize=9,
        color=style.PAPER if censored else colour,
        markeredgecolor=style.INK,
        markeredgewidth=0.9,
        zorder=3,
    )


def _legend(figure: Figure, phases: Sequence[Phase]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    seen = {"fault"} | {phase.name for phase in phases}
    handles: list[Any] = [
        Line2D([], [], marker=marker, color=colour, markeredgecolor=style.INK, linestyle="",
               markersize=8, label=label)
        for name, (marker, colour, label) in MARKS.items()
        if name in seen
    ]  # fmt: skip
    program = Patch(
        facecolor=style.SKY,
        edgecolor=style.INK,
        hatch="////",
        linewidth=0.8,
        label="program: rule tool runs",
    )
    handles.insert(1 + len(seen & {"detect", "withdraw"}), program)
    handles.append(Line2D([], [], color=style.INK, linewidth=2.5, label="errors seen by a client"))
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
