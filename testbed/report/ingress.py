"""Plot of what a balancer of connections and one of requests make of kept connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.analysis import ingress
from testbed.analysis.run import Run
from testbed.report import style
from testbed.report.points import trials_and_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WAYS = {
    ingress.SERVICE: (style.BLUE, "o", "by the service's address (L4)"),
    ingress.INGRESS: (style.ORANGE, "s", "through the ingress controller (L7)"),
}
"""Colour, marker and name of each."""


def figures(run: Run) -> dict[str, Figure]:
    """Every plot of an ingress run, by the name of its file."""
    return {"unevenness": unevenness(run)}


def unevenness(run: Run) -> Figure:
    """Coefficient of variation of requests by `reuse`, both ways side by side."""
    table = run.trials[["trial", "via", "reuse"]].merge(ingress.metrics(run), on="trial")
    with style.styled():
        figure, grid = style.new_figure(1, 1, row_in=3.8)
        axes = grid[0][0]
        axes.set_xscale("log")
        promised = table[table["via"] == ingress.SERVICE].groupby("reuse")["promised_cv"].mean()
        axes.plot(promised.index, promised, "--", marker="_", markersize=24, color=style.INK,
                  label="random connections")  # fmt: skip
        for way, (color, marker, name) in _WAYS.items():
            beside = 0.95 if way == ingress.SERVICE else 1.05
            for count, rows in table[table["via"] == way].groupby("reuse"):
                trials_and_mean(
                    axes, float(str(count)) * beside, rows["request_cv"], (color, marker)
                )
            axes.plot([], [], marker, color=color, label=name)
        ticks = sorted(set(table["reuse"]))
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=-0.005)
        axes.set_xlabel("requests that a client's connection carries")
        axes.set_ylabel("coefficient of variation\nof requests over the backends")
        axes.legend(loc="upper left")
        return style.finish(
            figure,
            run,
            "How uneven requests are, balanced by connection and by request",
            "A grey dot is a trial, a coloured mark the mean with its 95 % interval over trials; all "
            "clients together. The dashed line is the mean if every connection went to a random "
            "backend. An ingress controller sees requests: it balances each by itself, whatever "
            "connection it came on.",
            trials=style.trials_per_arm(run),
        )
