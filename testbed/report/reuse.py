"""Plot of keep-alive: how uneven requests are, against how many of them a connection carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.analysis import reuse
from testbed.analysis.run import Run
from testbed.report import style
from testbed.report.points import trials_and_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOKS = (
    (style.BLUE, "o"),
    (style.ORANGE, "s"),
    (style.GREEN, "^"),
    (style.PINK, "D"),
    (style.SKY, "v"),
)
"""Colour and marker of each mode, in the order of the run's factor."""


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of a reuse run, by the name of its file."""
    return {"unevenness": unevenness(run)}


def unevenness(run: Run) -> Figure:
    """Coefficient of variation of requests by `reuse`, each mode a little beside the next."""
    table = run.trials[["trial", "proxy", "reuse"]].merge(reuse.metrics(run), on="trial")
    modes = [str(mode) for mode in run.meta["factors"]["proxy"]]
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=3.8)
        axes = grid[0][0]
        axes.set_xscale("log")
        expected = table.groupby("reuse")["random_cv"].mean()
        axes.plot(expected.index, expected, "--", marker="_", markersize=24, color=style.INK,
                  label="random connections")  # fmt: skip
        for at, (mode, look) in enumerate(zip(modes, _LOOKS, strict=False)):
            beside = 1.1 ** (at - (len(modes) - 1) / 2)
            for count, rows in table[table["proxy"] == mode].groupby("reuse"):
                trials_and_mean(axes, float(str(count)) * beside, rows["request_cv"], look)
            axes.plot([], [], look[1], color=look[0], label=mode)
        ticks = sorted(set(table["reuse"]))
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("requests that a connection carries")
        axes.set_ylabel("coefficient of variation\nof requests over the backends")
        axes.legend(loc="upper left")
        return style.finish(
            figure,
            run,
            "How uneven requests are where connections are kept",
            "A grey dot is a trial, a coloured mark the mean with its 95 % interval over trials; all "
            "clients together. The dashed line is the mean if every connection went to a random "
            "backend. The requests are as many at every point: what grows to the right is only how "
            "few connections carry them.",
            trials=style.trials_per_arm(run),
        )
