"""Plots of growth: every measure against the number of services, both on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.analysis.growth import MODE, SIZE, Law, Measure, laws
from testbed.analysis.intervals import over_trials
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = (
    (style.BLUE, "o", "-"),
    (style.ORANGE, "s", "--"),
    (style.GREEN, "^", "-."),
    (style.PINK, "D", ":"),
    (style.SKY, "v", (0, (5, 1))),
    (style.GREY, "P", (0, (1, 1))),
)


def figures(run: Run, table: pd.DataFrame, measures: Sequence[Measure]) -> dict[str, Figure]:
    """One figure: a plot per measure."""
    fitted = laws(run, table, measures)
    shown = [measure for measure in measures if measure.column in table.columns]
    columns = 2
    with style.styled():
        figure, grid = style.new_figure(-(-len(shown) // columns) or 1, columns, row_in=2.9)
        flat = [axes for row in grid for axes in row]
        for axes, measure in zip(flat, shown, strict=False):
            _plot(axes, run, table, measure, [law for law in fitted if law.measure == measure])
        for axes in flat[len(shown) :]:
            axes.set_axis_off()
        handles, labels = flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3)
        drawn = style.finish(
            figure,
            run,
            "What grows with the number of services",
            "A marker is the geometric mean of the trials with its 95 % interval, the line the "
            "fitted power law, whose exponent the plot names: 0 is flat, 1 grows in proportion. "
            "Both axes are logarithmic.",
            trials=style.trials_per_arm(run),
        )
    return {"growth": drawn}


def _plot(
    axes: Axes, run: Run, table: pd.DataFrame, measure: Measure, fitted: Sequence[Law]
) -> None:
    joined = run.trials[["trial", MODE, SIZE]].merge(table, on="trial")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for look, mode in zip(_LOOKS * 9, map(str, run.meta["factors"][MODE]), strict=False):
        rows = joined[joined[MODE] == mode]
        if len(rows):
            _mode(axes, rows, measure, look, mode)
    for look, mode in zip(_LOOKS * 9, map(str, run.meta["factors"][MODE]), strict=False):
        for law in fitted:
            if law.mode == mode:
                sizes = np.geomspace(joined[SIZE].min(), joined[SIZE].max(), 20)
                axes.plot(sizes, law.scale * sizes**law.exponent.estimate, color=look[0],
                          linestyle=look[2], linewidth=1.2)  # fmt: skip
    axes.text(0.98, 0.04, "\n".join(map(_exponent, fitted)), transform=axes.transAxes, ha="right",
              va="bottom", fontsize=8)  # fmt: skip
    axes.set_title(style.wrapped(measure.title, 48), loc="left")
    axes.set_ylabel(measure.unit or "ratio")
    axes.set_xlabel("services")
    low, high = axes.get_ylim()
    middle = (low * high) ** 0.5
    # At least two decades: what is flat must look flat.
    axes.set_ylim(min(low, middle / 10), max(high, middle * 10))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda *_: "")


def _exponent(law: Law) -> str:
    """Such as `nftables: 0.02 [-0.01, 0.05]`."""
    found = law.exponent
    limits = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{law.mode}: power {found.estimate:.2f}{limits}"


def _mode(
    axes: Axes, rows: pd.DataFrame, measure: Measure, look: tuple[str, str, object], mode: str
) -> None:
    for number, (_, part) in enumerate(rows.groupby(SIZE)):
        values = part[measure.column].dropna().to_numpy(dtype=float)
        if not values.size:
            continue
        mean = over_trials(values, scale="log")
        error = None
        if mean.low is not None and mean.high is not None:
            error = [[mean.estimate - mean.low], [mean.high - mean.estimate]]
        size = float(part[SIZE].iloc[0])
        axes.errorbar([size], [mean.estimate], yerr=error, fmt=look[1], color=look[0], markersize=5,
                      capsize=3, label=mode if number == 0 else None)  # fmt: skip
