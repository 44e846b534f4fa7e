"""A figure in words, read off its own data: for whoever cannot see it, or wants the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from testbed.report.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

FEW = 12
"""Intervals of one plot that are told one by one; beyond, only their range is."""


def in_words(figure: Figure) -> tuple[str, ...]:
    """A sentence for each plot of the figure: what it shows, between which values, and the
    intervals drawn in it.
    """
    return tuple(_plot(axes) for axes in figure.axes if axes.axison and axes.has_data())


def _plot(axes: Axes) -> str:
    title = _one_line(axes.get_title(loc="left") or axes.get_title())
    quantity = _one_line(axes.get_ylabel())
    against = _one_line(axes.get_xlabel())
    head = ": ".join(filter(None, (title, _joined(quantity, against))))
    parts = [head or "Plot", *_categories(axes), *_intervals(axes)]
    parts += [*_first(_instants(axes)), *_first(_lines(axes)), *_range(axes), *_marked(axes)]
    return "; ".join(parts) + "."


def _first(told: Iterator[str]) -> list[str]:
    """As much as somebody listens to."""
    everything = list(told)
    rest = len(everything) - 4 * FEW
    return everything[: 4 * FEW] + ([f"and {rest} more"] if rest > 0 else [])


def _joined(quantity: str, against: str) -> str:
    if quantity and against:
        return f"{quantity} against {against}"
    return quantity or against


def _categories(axes: Axes) -> Iterator[str]:
    for axis in (axes.xaxis, axes.yaxis):
        names = [name for _, name in _named_ticks(axis)]
        if names:
            shown = ", ".join(names[:FEW]) + (" and more" if len(names) > FEW else "")
            yield f"{'columns' if axis is axes.xaxis else 'rows'} {shown}"


def _named_ticks(axis: Axis) -> list[tuple[float, str]]:
    """(place, name) of ticks that were given names, none where the ticks are numbers."""
    from matplotlib.ticker import FixedLocator

    if not isinstance(axis.get_major_locator(), FixedLocator):
        return []
    places = [float(place) for place in axis.get_majorticklocs()]
    names = axis.get_major_formatter().format_ticks(places)
    return [(at, _one_line(name)) for at, name in zip(places, names, strict=True) if name.strip()]


def _intervals(axes: Axes) -> Iterator[str]:
    """The intervals of the plot: estimate, and in brackets its ends."""
    from matplotlib.container import ErrorbarContainer

    found = [
        text
        for container in axes.containers
        if isinstance(container, ErrorbarContainer)
        for text in _bars(axes, container)
    ]
    if found:
        shown = ", ".join(found[:FEW])
        rest = f", and {len(found) - FEW} more" if len(found) > FEW else ""
        yield f"estimates with their intervals: {shown}{rest}"


def _bars(axes: Axes, container: ErrorbarContainer) -> Iterator[str]:
    line, _, bars = container.lines
    if line is None or not bars:
        return
    upright = bool(container.has_yerr)
    names = _named_ticks(axes.xaxis if upright else axes.yaxis)
    for (x, y), ends in zip(_points_of(line), bars[0].get_segments(), strict=False):
        value, place = (y, x) if upright else (x, y)
        low, high = sorted(float(end[1 if upright else 0]) for end in ends)
        name = _nearest(names, float(place))
        span = f"{number(float(value))} [{number(low)}, {number(high)}]"
        yield f"{name} {span}".strip()


def _nearest(names: Sequence[tuple[float, str]], place: float) -> str:
    """The category at which something stands: a mark may be drawn a little beside its own."""
    near = [(abs(at - place), name) for at, name in names if abs(at - place) < 0.5]
    return min(near)[1] if near else ""


def _points_of(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata(), dtype=float)]


def _instants(axes: Axes) -> Iterator[str]:
    """Single marks on named rows, called what the legend calls them."""
    rows = _named_ticks(axes.yaxis)
    figure = axes.get_figure(root=True)
    called = {
        (handle.get_marker(), str(handle.get_color())): str(handle.get_label())
        for legend in (figure.legends if figure is not None else ())
        for handle in legend.get_lines()
    }
    for line in axes.lines if rows else ():
        name = called.get((line.get_marker(), str(line.get_color())))
        points = _points_of(line)
        if name and len(points) == 1 and line.get_marker() not in ("None", ""):
            yield f"{_nearest(rows, points[0][1])} {_one_line(name)} at {number(points[0][0])}"


def _lines(axes: Axes) -> Iterator[str]:
    """Each line that the legend names: where it begins and where it ends."""
    for line in axes.lines:
        label, points = str(line.get_label()), _points_of(line)
        if label.startswith("_") or len(points) < 2:
            continue
        (x0, y0), (x1, y1) = points[0], points[-1]
        yield f"{_one_line(label)} from {number(y0)} at {number(x0)} to {number(y1)} at {number(x1)}"


def _range(axes: Axes) -> Iterator[str]:
    low, high = (float(value) for value in axes.dataLim.intervaly)
    named = bool(_named_ticks(axes.yaxis))
    if named:
        low, high = (float(value) for value in axes.dataLim.intervalx)
    if axes.images or not (math.isfinite(low) and math.isfinite(high)):
        return
    if named and _named_ticks(axes.xaxis):
        return
    yield f"values from {number(low)} to {number(high)}"


def _marked(axes: Axes) -> Iterator[str]:
    """Numbers written into the plot, such as the cells of a matrix, row by row."""
    written = [_one_line(text.get_text()) for text in axes.texts if text.get_text().strip()]
    if written:
        rest = f", and {len(written) - 4 * FEW} more" if len(written) > 4 * FEW else ""
        yield f"written in it, row by row: {', '.join(written[: 4 * FEW])}{rest}"


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())
