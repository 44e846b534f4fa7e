"""Plots of search lists: queries of every combination, times by ndots, and who answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.analysis import ndots
from testbed.analysis.intervals import over_trials
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = ("web", "web.default", ndots.FULL, ndots.OUTSIDE, f"{ndots.OUTSIDE}.")
"""What the times are drawn of."""
_LOOKS = (
    (style.BLUE, "o", "-"), (style.SKY, "v", "--"), (style.GREEN, "s", "-."),
    (style.ORANGE, "D", "-"), (style.PINK, "^", ":"),
)  # fmt: skip
_MOST_QUERIES = 8


def figures(run: Run, limit: float) -> dict[str, Figure]:
    """Every plot of an ndots run, by the name of its file."""
    return {"queries": queries(run), "times": times(run), "factor": factor(run, limit)}


def queries(run: Run) -> Figure:
    """A panel per path and library: a row per name, a column per ndots, queries of a look-up."""
    table = ndots.cells(run)
    paths = [path for path in ndots.PATHS if path in set(table["path"])]
    libraries = ndots.LIBRARIES
    with style.styled():
        figure, grid = style.new_figure(
            len(paths), len(libraries), sharex=True, sharey=True, row_in=2.2
        )
        for row, path in zip(grid, paths, strict=True):
            for axes, library in zip(row, libraries, strict=True):
                mine = table[(table["path"] == path) & (table["library"] == library)]
                wide = mine.pivot_table(index="name", columns="ndots", values="queries")
                _heat(axes, wide.reindex(ndots.NAMES).to_numpy(dtype=float))
                _mark_failed(axes, mine.pivot_table(index="name", columns="ndots", values="failed")
                             .reindex(ndots.NAMES).to_numpy(dtype=float))  # fmt: skip
                axes.set_title(f"{path}: {library}", loc="left")
            row[0].set_yticks(range(len(ndots.NAMES)), ndots.NAMES)
        for axes in grid[-1]:
            axes.set_xticks(range(len(ndots.NDOTS)), [f"{each}" for each in ndots.NDOTS])
            axes.set_xlabel("ndots")
        return style.finish(
            figure,
            run,
            "Queries that a look-up takes",
            "Each cell: queries per look-up, counted by whoever the client asks (coredns_dns_requests_total),"
            " the mean over trials. Two are the least: A and AAAA. A name is tried with each domain of the"
            " search list until one exists; a final dot says that there is nothing to search. Struck out: no"
            " address was found, as musl does not search for a name that has ndots dots.",
            trials=style.trials_per_arm(run),
        )


def _heat(axes: Axes, values: np.ndarray) -> None:
    axes.imshow(values, cmap="Blues", aspect="auto", vmin=0, vmax=_MOST_QUERIES)
    for (y, x), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        dark = value > _MOST_QUERIES * 0.6
        axes.text(x, y, f"{value:.3g}", ha="center", va="center", fontsize=9,
                  color=style.PAPER if dark else style.INK)  # fmt: skip
    axes.grid(visible=False)
    axes.tick_params(length=0)


def _mark_failed(axes: Axes, failed: np.ndarray) -> None:
    for (y, x), share in np.ndenumerate(failed):
        if share > 0:
            axes.plot([x - 0.3, x + 0.3], [y + 0.3, y - 0.3], color=style.INK, linewidth=1.0)


def times(run: Run) -> Figure:
    """A plot per path: glibc's median time by ndots, a line per name, with intervals."""
    table = ndots.cells(run)
    table = table[table["library"] == "glibc"]
    paths = [path for path in ndots.PATHS if path in set(table["path"])]
    with style.styled():
        figure, grid = style.new_figure(1, len(paths), sharey=True, row_in=3.0)
        for axes, path in zip(grid[0], paths, strict=True):
            for name, look in zip(_SHOWN, _LOOKS, strict=True):
                mine = table[(table["path"] == path) & (table["name"] == name)]
                _curve(axes, [mine.loc[mine["ndots"] == each, "median_ms"] for each in ndots.NDOTS],
                       name, look)  # fmt: skip
            axes.set_yscale("log")
            axes.set_xticks(ndots.NDOTS)
            axes.set_xlabel("ndots")
            axes.set_title(path, loc="left")
        grid[0][0].set_ylabel("time of a look-up (ms)")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3)
        return style.finish(
            figure,
            run,
            "How long a look-up takes, glibc",
            "The median of a trial's look-ups, one after the other: geometric mean over trials with its 95 %"
            " interval. Each name that does not exist costs a round to a server and back.",
            trials=style.trials_per_arm(run),
        )


def _curve(
    axes: Axes, columns: Sequence[pd.Series[float]], name: str, look: tuple[str, str, str]
) -> None:
    colour, marker, line = look
    means = [over_trials(column, scale="log") for column in columns]
    axes.plot(ndots.NDOTS, [mean.estimate for mean in means], line, marker=marker, color=colour,
              markersize=4.5, label=name)  # fmt: skip
    for each, mean in zip(ndots.NDOTS, means, strict=True):
        if mean.low is not None and mean.high is not None:
            axes.plot([each, each], [mean.low, mean.high], color=colour, linewidth=1.2)


def factor(run: Run, limit: float) -> Figure:
    """Two plots, a line per path: by what an outside name is slower, and who answers queries."""
    table = ndots.metrics(run).merge(run.trials[["trial", "path"]], on="trial")
    paths = [path for path in ndots.PATHS if path in set(table["path"])]
    with style.styled():
        figure, grid = style.new_figure(1, 2, sharey=True, row_in=0.8 + 0.5 * len(paths))
        for y, path in enumerate(paths):
            rows = table[table["path"] == path]
            _line(grid[0][0], y, rows["search_factor"].to_numpy(dtype=float), log=True)
            _line(grid[0][1], y, rows["cluster_share"].to_numpy(dtype=float))
        grid[0][0].axvline(limit, color=style.INK, linewidth=0.8)
        grid[0][0].set_xlim(left=0)
        grid[0][0].set_title("time with ndots:5 over time with a final dot", loc="left")
        grid[0][1].set_xlim(0, 1.05)
        grid[0][1].set_title("queries that came to the cluster's servers", loc="left")
        grid[0][0].set_yticks(range(len(paths)), paths)
        grid[0][0].set_ylim(len(paths) - 0.5, -0.5)
        return style.finish(
            figure,
            run,
            f"What the search list costs {ndots.OUTSIDE}, and whom it keeps busy",
            "A grey dot is a trial, the diamond the mean with its 95 % interval (of factors the geometric one)."
            " Left of the upright line a search list is cheap. On the right, a share of 1: every query of a"
            " client is one for the cluster's servers.",
            trials=style.trials_per_arm(run),
        )


def _line(axes: Axes, y: float, values: np.ndarray, *, log: bool = False) -> None:
    axes.plot(values, np.full(values.size, y + 0.14), "o", color=style.GREY, markersize=3)
    mean = over_trials(values, scale="log" if log else "linear")
    if mean.low is not None and mean.high is not None:
        axes.errorbar([mean.estimate], [y],
                      xerr=[[mean.estimate - mean.low], [mean.high - mean.estimate]], fmt="D",
                      markersize=5.5, color=style.BLUE, capsize=4, linewidth=1.6)  # fmt: skip
