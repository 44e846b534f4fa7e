"""The house style of every plot: readable in grey, at a glance, and out of its context.

Whatever is told by colour is told by a marker, a hatch or a line style too. Figures are made
without pyplot (no global state); matplotlib is imported when the first one is made.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.analysis.arms import label_of
from testbed.analysis.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b1b1f"
PAPER = "#fefefe"
GRID = "#c9c9d1"
CALM = "#dfe7ee"
"""Colours that the page replaces by its own, so that figures follow light and dark."""

BLUE, ORANGE, GREEN, PINK, SKY, GREY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#8a8a94",
)
"""Okabe and Ito's colours, told apart with any colour vision."""

WIDTH_IN = 9.0
ROW_IN = 2.6
TITLE_WIDTH = 108
"""Characters of a title that fit into the width."""
DPI = 150
SMOKE = "smoke profile: not for citation"
NO_CONTROL_PLANE_LATENCY = "Times are without API-server and etcd latency."

_RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": PAPER,
    "axes.formatter.min_exponent": 4,  # a logarithmic axis says 0.6, and not 6 times a power of ten
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": PAPER,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 9,
    "ytick.color": INK,
    "ytick.labelsize": 9,
}


_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)


def styled() -> AbstractContextManager[None]:
    """The style, for the block that draws a figure."""
    import matplotlib as mpl

    return mpl.rc_context(_RC)


def new_figure(
    rows: int, columns: int, *, row_in: float = ROW_IN, **options: Any
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of `rows` x `columns` plots, laid out so that nothing overlaps. Call it in
    `styled`.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=(WIDTH_IN, 1.3 + row_in * rows),
        layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08),
    )
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, [list(row) for row in axes]


def finish(figure: Figure, run: Run, title: str, caption: str, *, trials: str) -> Figure:
    """Give a figure its title with n and conditions, its caption, and the watermark of a smoke run.

    `trials` says how many, as in `n = 5 trials an arm`; the caption says what to see.
    """
    fixed = label_of(
        {name: run.trials[name].iloc[0] for name in run.factors if name not in run.varied}
    )
    figure.suptitle(
        "\n".join(
            wrapped(line, TITLE_WIDTH)
            for line in (title, " · ".join((trials, *conditions(run))), fixed)
            if line
        ),
        x=0.01,
        ha="left",
        fontsize=11,
        linespacing=1.5,
    )
    if run.meta.get("profile") == "smoke":
        figure.text(
            0.5,
            0.5,
            SMOKE,
            ha="center",
            va="center",
            rotation=18,
            fontsize=30,
            color=GREY,
            alpha=0.28,
            zorder=10,
        )
    figure.set_label(caption)
    return figure


def conditions(run: Run) -> tuple[str, ...]:
    """What the reader of one figure must know: mode, kernel, and timing that is not the default."""
    found = run.meta.get("environment", {}).get("kernel", {})
    guest = "uml " if found.get("carrier") == "uml" else ""
    kernel = f"{guest}{found['release']}" if found else ""
    parts = [str(run.meta.get("mode", "")), f"kernel {kernel}" if kernel else ""]
    timing: Mapping[str, Any] = run.meta.get("timing") or {}
    if timing:
        parts.append(f"timing not default: {label_of(timing)}")
    return tuple(part for part in parts if part)


def has_delays(run: Run) -> bool:
    """Whether the run emulates the latency of an API server (apiDelay or watchDelay is set)."""
    return any("delay" in str(name).lower() for name in run.meta.get("timing") or {})


def trials_per_arm(run: Run) -> str:
    """`n = 5 trials an arm`, or the range where arms differ."""
    names = list(run.factors)
    sizes = run.trials.groupby(names).size() if names else [len(run.trials)]
    low, high = min(sizes), max(sizes)
    if low == high:
        return f"n = {low} trial{'s' * (low != 1)} an arm"
    return f"n = {low} to {high} trials an arm"


def broken(label: str) -> str:
    """An arm's label with a line for each two of its factors, to fit above one plot of several."""
    parts = label.split(", ")
    return ",\n".join(", ".join(parts[at : at + 2]) for at in range(0, len(parts), 2))


def wrapped(text: str, width: int) -> str:
    """A long title on several lines."""
    return "\n".join(textwrap.wrap(text, width))


def caption_of(figure: Figure) -> str:
    """What `finish` was told to say below the figure."""
    return str(figure.get_label())


def svg_of(figure: Figure, name: str) -> str:
    """The figure as an `<svg>` element; equal figures of one name give equal text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    # The salt keeps ids of several figures in one page apart.
    with mpl.rc_context(_RC | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return _METADATA.sub("", text[text.index("<svg") :])


def save(figures: Mapping[str, Figure], directory: Path) -> dict[str, str]:
    """Write every figure as NAME.svg and NAME.png; returns the `<svg>` elements by name."""
    import matplotlib as mpl

    directory.mkdir(parents=True, exist_ok=True)
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    drawn = {name: svg_of(figure, name) for name, figure in figures.items()}
    for name, figure in figures.items():
        (directory / f"{name}.svg").write_text(head + drawn[name], encoding="utf-8")
        with mpl.rc_context(_RC):
            figure.savefig(directory / f"{name}.png", dpi=DPI, metadata={"Software": None})
    return drawn
