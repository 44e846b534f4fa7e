"""The page of two runs compared: what differs, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.analysis.arms import label_of
from testbed.analysis.compare import Comparison, Row
from testbed.analysis.gate import Judged
from testbed.analysis.run import Run
from testbed.report import style
from testbed.report.chapter import Drawn, inline_svg
from testbed.report.page import environment
from testbed.report.tables import Table, number
from testbed.report.words import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST = 150.0
"""Per cent: what differs by more is told in the table, and would make everything else a dot."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two runs with what was found: `rows` are the comparison's, judged."""

    a: Run
    b: Run
    comparison: Comparison
    rows: tuple[Judged, ...]


def write_comparison(compared: Compared, path: Path) -> Path:
    """Write the page and return its path. Raises OSError."""
    path.write_text(render(compared), encoding="utf-8")
    return path


def render(compared: Compared) -> str:
    """The page's text."""
    real = [one for one in compared.rows if one.row.real]
    varied = varied_in(one.row for one in compared.rows)
    settings = {
        "a": compared.a,
        "b": compared.b,
        "answer": sentence(compared),
        "unlike": compared.comparison.unlike,
        "gated": any(one.margin for one in compared.rows),
        "failed": [one for one in compared.rows if one.verdict == "worse"],
        "undecided": [one for one in compared.rows if one.verdict == "undecided"],
        "real": table("Differences that are real", real, varied),
        "all": table("Every metric", compared.rows, varied),
        "figure": _drawn(compared),
        "alone": [
            (name, [label_of(factors) for factors in arms])
            for name, arms in (("A", compared.comparison.only_a), ("B", compared.comparison.only_b))
            if arms
        ],
        "smoke": "smoke" in (compared.a.meta.get("profile"), compared.b.meta.get("profile")),
    }
    return environment().get_template("compare.html.j2").render(settings)


def sentence(compared: Compared) -> str:
    """The answer: how many differ, and what the gate says of them."""
    rows = compared.rows
    real = sum(one.row.real for one in rows)
    tested = sum(one.row.p is not None for one in rows)
    text = (
        f"{real} of {tested} metrics {'differs' if real == 1 else 'differ'} between the runs"
        if real
        else f"No difference between the runs is real, of {tested} metrics"
    )
    if tested < len(rows):
        text += f" ({len(rows) - tested} more have too few trials to tell)"
    judged = [one for one in rows if one.verdict != "not judged"]
    if judged:
        worse = sum(one.verdict == "worse" for one in judged)
        open_ = sum(one.verdict == "undecided" for one in judged)
        text += (
            f"; {worse} of {len(judged)} {_are(worse)} worse than was accepted, {open_} undecided"
        )
    return text + "."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def table(title: str, rows: Sequence[Judged], varied: Sequence[str]) -> Table:
    """A line per metric and arm, which is told by the factors that are `varied`."""
    gated = any(one.margin for one in rows)
    columns = ("metric", "arm", "A", "B", "difference", "95 % interval", "in %", "q")
    return Table(
        title=title,
        note="Difference: B minus A. q is the p-value corrected after Benjamini and Hochberg over all "
        "metrics; a difference is real where q is at most 0.05 and its interval leaves out 0.",
        columns=(*columns, "verdict") if gated else columns,
        rows=tuple(
            (*_cells(one.row, varied), *((_judgement(one),) if gated else ())) for one in rows
        ),
    )


def _judgement(one: Judged) -> str:
    return f"{one.verdict} (margin {one.margin})" if one.verdict != "not judged" else one.verdict


def _cells(row: Row, varied: Sequence[str]) -> tuple[str, ...]:
    interval = "too few trials"
    if row.p is not None:
        low = "-∞" if row.ci_low is None else number(row.ci_low)
        interval = f"{low} to {'∞' if row.ci_high is None else number(row.ci_high)}"
    share = per_cent(row, row.difference)
    return (
        row.metric + (f" ({row.unit})" if row.unit else ""),
        label_of({name: row.factors[name] for name in varied}) or "all",
        f"{number(row.mean_a)}\xa0(n\xa0{row.n_a})",
        f"{number(row.mean_b)}\xa0(n\xa0{row.n_b})",
        number(row.difference),
        interval,
        "" if share is None else f"{share:+.1f}",
        "" if row.q is None else "< 0.0001" if row.q < 1e-4 else number(row.q),
    )


def varied_in(rows: Iterable[Row]) -> tuple[str, ...]:
    """The factors that tell the rows' arms apart."""
    arms = [row.factors for row in rows]
    names = dict.fromkeys(name for factors in arms for name in factors)
    return tuple(name for name in names if len({factors.get(name) for factors in arms}) > 1)


def per_cent(row: Row, value: float | None) -> float | None:
    """A difference in per cent of A; None where A is 0 or one of them unknown."""
    return None if value is None or not row.mean_a else 100 * value / abs(row.mean_a)


def _drawn(compared: Compared) -> Drawn | None:
    figure = forest(compared)
    if figure is None:
        return None
    title = figure.get_suptitle().splitlines()[0]
    svg = inline_svg(style.svg_of(figure, "differences"), "differences")
    return Drawn("differences", title, style.caption_of(figure), in_words(figure), svg)


def forest(compared: Compared) -> Figure | None:
    """A plot per arm: each metric's difference in per cent of A, with its interval."""
    shown = [one.row for one in compared.rows if per_cent(one.row, one.row.ci_low) is not None]
    shown = [row for row in shown if per_cent(row, row.ci_high) is not None]
    varied = varied_in(one.row for one in compared.rows)
    groups: dict[str, list[Row]] = {}
    for row in shown:
        groups.setdefault(label_of({name: row.factors[name] for name in varied}), []).append(row)
    if not groups:
        return None
    tallest = max(map(len, groups.values()))
    with style.styled():
        figure, grid = style.new_figure(len(groups), 1, sharex=True, row_in=0.5 + 0.27 * tallest)
        for (axes,), (label, rows) in zip(grid, groups.items(), strict=True):
            _forest_plot(axes, rows)
            axes.set_title(label, loc="left")
        grid[-1][0].set_xlabel("difference, B minus A (% of A)")
        return style.finish(
            figure,
            compared.b,
            "What differs between the runs",
            "A diamond is a metric's difference with its 95 % interval, filled where it is real after "
            "correction, hollow where it may be chance. What lies on the line is the same in both. "
            f"An arrow is a difference beyond {WIDEST:g} %, with its size.",
            trials=style.trials_per_arm(compared.b),
        )


def _forest_plot(axes: Axes, rows: Sequence[Row]) -> None:
    axes.axvline(0, color=style.INK, linewidth=0.8)
    for y, row in enumerate(rows):
        centre, low, high = (
            per_cent(row, value) or 0.0 for value in (row.difference, row.ci_low, row.ci_high)
        )
        filled = style.BLUE if row.real else style.PAPER
        if abs(centre) > WIDEST:  # an arrow at the edge: it lies beyond
            edge = WIDEST if centre > 0 else -WIDEST
            axes.plot([edge], [y], marker=">" if centre > 0 else "<", markersize=8, color=style.BLUE,
                      markerfacecolor=filled)  # fmt: skip
            axes.annotate(f"{centre:+.0f} %", (edge, y), (-8 if edge > 0 else 8, 0), va="center",
                          ha="right" if edge > 0 else "left", textcoords="offset points")  # fmt: skip
            continue
        ends = max(-WIDEST, low), min(WIDEST, high)
        axes.errorbar(
            [centre], [y], xerr=[[max(0.0, centre - ends[0])], [max(0.0, ends[1] - centre)]],
            fmt="D", markersize=5.5, color=style.BLUE, capsize=3, linewidth=1.6,
            markerfacecolor=filled,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [row.metric for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
