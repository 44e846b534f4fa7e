"""The edge matrix as pictures: a line per row, a column per arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from testbed.analysis.arms import arms
from testbed.analysis.edge_matrix import Dialled, of_arm
from testbed.analysis.run import Run
from testbed.edge.doors import INGRESS_ROWS, SERVICE_ROWS, Row
from testbed.edge.matrix import keeps
from testbed.edge.promises import NOBODY, promise
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = {
    "kept": ("o", style.BLUE, "as promised, seen under the client's own address"),
    "hidden": ("o", style.SKY, "as promised, seen under a node's or the balancer's"),
    "silent": ("_", style.GREY, "as promised, nobody answers"),
    "wrong": ("X", style.ORANGE, "not as promised"),
}


def figures(run: Run) -> dict[str, Figure]:
    """One for services, one for ingress controllers, by the names of their files."""
    return {
        "edge-matrix": _matrix(
            run, SERVICE_ROWS, "Who gets in by which door, and whom the pod sees", ""
        ),
        "edge-matrix-ingress": _matrix(
            run,
            INGRESS_ROWS,
            "Who reaches an ingress controller by which door, and whom it sees",
            " Whom the controller sees is what it says in X-Forwarded-For; the pod behind it sees the "
            "controller's own address.",
        ),
    }


def _matrix(run: Run, rows: Sequence[Row], title: str, more: str) -> Figure:
    columns = arms(run)
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=0.9 + 0.27 * len(rows))
        axes = grid[0][0]
        for x, arm in enumerate(columns):
            found: dict[Row, list[Dialled]] = {row: [] for row in rows}
            for one in of_arm(run, arm):
                if one.row in found:
                    found[one.row].append(one)
            for y, row in enumerate(rows):
                if not found[row]:
                    continue
                marker, colour, _ = _MARKS[_kind(found[row])]
                axes.plot([x], [y], linestyle="", marker=marker, color=colour, markersize=8)
        for marker, colour, label in _MARKS.values():
            axes.plot([], [], linestyle="", marker=marker, color=colour, label=label, markersize=8)
        axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.01), ncols=2)
        labels = [arm.label.replace(", ", ",\n") for arm in columns]
        axes.set_xticks(range(len(columns)), labels, rotation=90 if len(columns) > 4 else 0)
        axes.xaxis.tick_top()
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        return style.finish(
            figure,
            run,
            title,
            "A line is a door, a policy and a client; a column is an arm. A row is as promised where every "
            "connection of every trial reached whom it should, seen under the address that it should be, "
            f"and its reply came back the way that it should.{more}",
            trials=style.trials_per_arm(run),
        )


def _kind(rows: list[Dialled]) -> str:
    if any(one.trouble for one in rows):
        return "wrong"
    row, setting = rows[0].row, rows[0].setting
    if promise(row, setting) == NOBODY:
        return "silent"
    return "kept" if keeps(row, setting) else "hidden"
