"""The edge matrix as a picture: a line per row, a column per arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.analysis.arms import arms
from testbed.analysis.edge_matrix import Dialled, of_arm
from testbed.analysis.run import Run
from testbed.edge.matrix import ROWS, Row
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = {
    "kept": ("o", style.BLUE, "as promised, the pod sees the client's own address"),
    "hidden": ("o", style.SKY, "as promised, the pod sees a node's or the balancer's address"),
    "silent": ("_", style.GREY, "as promised, nobody answers"),
    "wrong": ("X", style.ORANGE, "not as promised"),
}


def figures(run: Run) -> dict[str, Figure]:
    """The one plot, by the name of its file."""
    return {"edge-matrix": _matrix(run)}


def _matrix(run: Run) -> Figure:
    columns = arms(run)
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.9 + 0.27 * len(ROWS))
        axes = grid[0][0]
        for x, arm in enumerate(columns):
            found: dict[Row, list[Dialled]] = {row: [] for row in ROWS}
            for one in of_arm(run, arm):
                found[one.row].append(one)
            for y, row in enumerate(ROWS):
                if not found[row]:
                    continue
                marker, colour, _ = _MARKS[_kind(found[row])]
                axes.plot([x], [y], linestyle="", marker=marker, color=colour, markersize=8)
        for marker, colour, label in _MARKS.values():
            axes.plot([], [], linestyle="", marker=marker, color=colour, label=label, markersize=8)
        axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.01), ncols=2)
        labels = [arm.label.replace(", ", ",\n") for arm in columns]
        axes.set_xticks(range(len(columns)), labels, rotation=20 if len(columns) > 4 else 0)
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(ROWS)), [row.name for row in ROWS])
        axes.set_ylim(len(ROWS) - 0.5, -0.5)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        return style.finish(
            figure,
            run,
            "Who gets in by which door, and whom the pod sees",
            "A line is a door, a policy and a client; a column is an arm. A row is as promised where every "
            "connection of every trial reached the pods that it should, seen under the address that it "
            "should be, and its reply came back the way that it should.",
            trials=style.trials_per_arm(run),
        )


def _kind(rows: list[Dialled]) -> str:
    if any(one.trouble for one in rows):
        return "wrong"
    attempts = [attempt for one in rows for attempt in one.attempts]
    if not any(one.who for one in attempts):
        return "silent"
    return "kept" if all(one.seen == rows[0].row.caller for one in attempts) else "hidden"
