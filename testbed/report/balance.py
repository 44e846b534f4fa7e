"""Plots of balance: shares, evenness, and which pick follows which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from testbed.analysis import balance, bands
from testbed.analysis.arms import arms
from testbed.analysis.intervals import over_trials
from testbed.analysis.picks import ALL_CLIENTS, Unit
from testbed.analysis.run import Run
from testbed.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EVENNESS = {
    "cv": "coefficient of variation",
    "jain": "Jain's index",
    "max_over_mean": "max / mean",
    "entropy_bits": "entropy of the next pick (bit)",
}


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a balance run, by the name of its file."""
    found = {"share-connections": shares(run, "connection")}
    reusing = [arm for arm in arms(run) if float(arm.factors.get("reuse", 1)) > 1]
    if reusing:
        trials = [trial for arm in reusing for trial in arm.trials]
        found["share-requests"] = shares(run.only(trials), "request")
    return found | {"evenness": evenness(run), "transitions": transitions(run)}


def shares(run: Run, unit: Unit) -> Figure:
    """Share per backend: a row of plots for each arm, a column for all clients and each node."""
    table = balance.shares(run, unit)
    connections = balance.shares(run, "connection")
    groups = arms(run)
    scopes = [ALL_CLIENTS, *sorted(set(table["scope"]) - {ALL_CLIENTS})]
    if len(scopes) == 2:  # a single client node is all clients
        scopes = scopes[1:]
    with style.styled():
        figure, grid = style.new_figure(len(groups), len(scopes), sharey=True, row_in=2.7)
        for row, arm in zip(grid, groups, strict=True):
            for axes, scope in zip(row, scopes, strict=True):
                rows = table[table["trial"].isin(arm.trials) & (table["scope"] == scope)]
                picked = connections[connections["trial"].isin(arm.trials)]
                axes.set_title(f"from {scope}", loc="left")
                _share_plot(axes, rows, _picks_per_node(picked, scope))
            # On a line of its own, where it may reach over the plots to its right.
            row[0].set_title("\n".join(filter(None, (arm.label, f"from {scopes[0]}"))), loc="left")
            row[0].set_ylabel(f"share of {unit}s (%)")
        _legend_of_shares(figure, grid[0][0])
        return style.finish(
            figure,
            run,
            f"Share of {unit}s per backend",
            f"Each dot is a trial's share of {unit}s; the diamond is their mean with its 95 % "
            "interval over trials, the dashed line the expected share. Dots of a fair random "
            "balancer fall into the wide band 19 times in 20, those of a round robin into the "
            "narrow one. Read it for a diamond whose interval misses the dashed line."
            + (
                " A connection carries all its requests to one backend, so requests scatter as "
                "connections do: the bands are those of connections."
                if unit == "request"
                else ""
            ),
            trials=style.trials_per_arm(run),
        )


def _picks_per_node(table: pd.DataFrame, scope: str) -> list[int]:
    """The median number of picks in one arm's trials for each client node of the scope."""
    rows = table[table["scope"] != ALL_CLIENTS]
    if scope != ALL_CLIENTS:
        rows = rows[rows["scope"] == scope]
    return [int(value) for value in rows.groupby("scope")["n"].median()]


def _share_plot(axes: Axes, rows: pd.DataFrame, picks_per_node: Sequence[int]) -> None:
    backends = sorted(rows["backend"].unique())
    if not backends:  # this arm has no client on the node
        axes.set_title("", loc="left")
        axes.set_axis_off()
        return
    random = bands.random_share(sum(picks_per_node), len(backends))
    in_turn = bands.round_robin_share(picks_per_node, len(backends))
    _bands(axes, random, in_turn, scale=100)
    axes.axhline(100 / len(backends), color=style.INK, linestyle="--", linewidth=1.2)
    for x, backend in enumerate(backends):
        values = rows.loc[rows["backend"] == backend, "share"].to_numpy(dtype=float) * 100
        _points(axes, x, values)
    _categories(axes, backends)


def _bands(axes: Axes, random: bands.Band, in_turn: bands.Band, scale: float = 1) -> None:
    axes.axhspan(
        random.low * scale, random.high * scale, facecolor=style.SKY, alpha=0.3, linewidth=0,
        label="ideal random, 95 %",
    )  # fmt: skip
    # Round robin is often a band of no height: its outline keeps it visible.
    axes.axhspan(
        in_turn.low * scale, in_turn.high * scale, facecolor="none", edgecolor=style.ORANGE,
        linewidth=1.6, hatch="////", label="ideal round robin, 95 %",
    )  # fmt: skip


def _points(axes: Axes, x: float, values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    """Trials as dots to the left, their mean and interval to the right."""
    known = values[np.isfinite(values)]
    if not known.size:
        return
    spread = np.linspace(-0.26, -0.06, known.size) if known.size > 1 else np.array([-0.16])
    axes.plot(x + spread, known, "o", markersize=4, color=style.GREY, markeredgecolor=style.INK,
              markeredgewidth=0.5)  # fmt: skip
    found = over_trials(known)
    if found.low is not None and found.high is not None:
        axes.errorbar(
            [x + 0.16], [found.estimate],
            yerr=[[found.estimate - found.low], [found.high - found.estimate]],
            fmt="D", markersize=5.5, color=style.BLUE, capsize=4, linewidth=1.8,
        )  # fmt: skip


def _categories(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(axis="x", visible=False)
    plots_beside = axes.get_gridspec().ncols  # type: ignore[union-attr]
    if plots_beside * sum(max(map(len, name.splitlines())) for name in names) > 72:
        axes.tick_params(axis="x", labelrotation=30)


def _legend_of_shares(figure: Figure, axes: Axes, *, expected: bool = True) -> None:
    from matplotlib.lines import Line2D

    handles, _ = axes.get_legend_handles_labels()
    dot = Line2D([], [], marker="o", color=style.GREY, markeredgecolor=style.INK, linestyle="",
                 markersize=4, label="a trial")  # fmt: skip
    mean = Line2D([], [], marker="D", color=style.BLUE, label="mean, 95 % over trials")
    line = Line2D([], [], color=style.INK, linestyle="--", label="expected")
    figure.legend(
        handles=[dot, mean, *([line] if expected else []), *handles],
        loc="outside lower left",
        ncols=5,
        columnspacing=1.2,
        handletextpad=0.5,
    )


def evenness(run: Run) -> Figure:
    """Four figures of evenness per arm, each with the bands of the two ideals at the same n."""
    table = balance.evenness_by_scope(run)
    table = table[table["scope"] == ALL_CLIENTS]
    shared = balance.shares(run)
    groups = arms(run)
    with style.styled():
        figure, grid = style.new_figure(2, 2, row_in=2.5)
        flat = [axes for row in grid for axes in row]
        for axes, (metric, name) in zip(flat, EVENNESS.items(), strict=True):
            for x, arm in enumerate(groups):
                rows = table[table["trial"].isin(arm.trials)]
                _ideal_bars(axes, x, metric, shared[shared["trial"].isin(arm.trials)], run.seed)
                _points(axes, x, rows[metric].to_numpy(dtype=float))
            axes.set_ylabel(name)
            _categories(axes, [arm.label.replace(", ", "\n") or "all trials" for arm in groups])
        _legend_of_shares(figure, flat[0], expected=False)
        return style.finish(
            figure,
            run,
            "Evenness of picks over all clients, per connection",
            "Each figure of evenness beside what an ideal random and an ideal round-robin balancer "
            "show at the same number of picks: even a fair random one is never perfectly even. "
            "The entropy tells the two apart where counts cannot: log2(backends) when the next "
            "pick cannot be guessed, 0 when it can; it needs 300 picks.",
            trials=style.trials_per_arm(run),
        )


def _ideal_bars(axes: Axes, x: int, metric: str, rows: pd.DataFrame, seed: int) -> None:
    picks = _picks_per_node(rows, ALL_CLIENTS)
    backends = int(rows["backend"].nunique())
    if not picks or not backends:
        return
    random = bands.ideal_random(picks, backends, seed)[metric]
    in_turn = bands.ideal_round_robin(picks, backends, seed)[metric]
    first = x == 0
    axes.fill_between(
        [x - 0.42, x + 0.42], random.low, random.high, facecolor=style.SKY, alpha=0.3, linewidth=0,
        label="ideal random, 95 %" if first else None,
    )  # fmt: skip
    axes.fill_between(
        [x - 0.42, x + 0.42], in_turn.low, in_turn.high, facecolor="none",
        edgecolor=style.ORANGE, linewidth=1.6, hatch="////",
        label="ideal round robin, 95 %" if first else None,
    )  # fmt: skip


def transitions(run: Run) -> Figure:
    """Which pick follows which: a matrix for each arm, its numbers written in."""
    matrices = balance.transitions(run)
    columns = min(3, max(1, len(matrices)))
    rows = -(-len(matrices) // columns)
    with style.styled():
        figure, grid = style.new_figure(rows, columns, row_in=3.2)
        flat = [axes for row in grid for axes in row]
        for axes, matrix in zip(flat, matrices, strict=False):
            _matrix_plot(axes, matrix)
        for axes in flat[len(matrices) :]:
            axes.set_axis_off()
        image = flat[0].images[0] if flat[0].images else None
        if image is not None:
            bar = figure.colorbar(image, ax=flat, fraction=0.03, pad=0.02)
            bar.set_label("share of the row (%)")
        return style.finish(
            figure,
            run,
            "Which pick follows which",
            "Row: a pick; column: the next pick by the same node's kernel; the share of the row in "
            "per cent, and below it the count. Independent random picks give equal numbers "
            "everywhere; a round robin gives a single 100 in each row.",
            trials=style.trials_per_arm(run),
        )


def _matrix_plot(axes: Axes, matrix: balance.Transitions) -> None:
    totals = matrix.counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * matrix.counts, totals, where=totals > 0,
                        out=np.zeros(matrix.counts.shape))  # fmt: skip
    axes.imshow(percent, cmap="Greys", vmin=0, vmax=100)
    size = len(matrix.backends)
    if size <= 8:  # beyond, numbers would not fit their cells: the shade alone has to do
        for (i, j), value in np.ndenumerate(percent):
            axes.text(
                j, i, f"{value:.1f}\n({matrix.counts[i, j]})", ha="center", va="center",
                fontsize=9, color="white" if value > 55 else "black",
            )  # fmt: skip
    for edge in range(1, size):
        axes.axhline(edge - 0.5, color="white", linewidth=1.5)
        axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    axes.set_xticks(range(size), matrix.backends, rotation=0 if size <= 3 else 45)
    axes.set_yticks(range(size), matrix.backends)
    axes.set_xlabel("next pick")
    axes.set_ylabel("pick")
    axes.grid(visible=False)
    axes.set_title(style.broken(matrix.arm), loc="left")
