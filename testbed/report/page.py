"""report.html: one file that holds everything and opens without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.analysis.arms import valid_blocks
from testbed.analysis.run import Finding, Run
from testbed.analysis.summary import summarise
from testbed.report import style
from testbed.report.tables import exclusion_table, figure_table, tables

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

VERDICT_MARKS = {"holds": "✓", "does not hold": "✗", "undecided": "?"}

_SHOWN_IF_THERE = (
    "command",
    "factors",
    "hypothesis",
    "profile",
    "question",
    "refuted_if",
    "run",
    "seed",
    "status",
)
"""Keys of run.json that the template asks for and a run may lack."""

_THEMED = {
    style.INK: "var(--ink)",
    style.PAPER: "var(--paper)",
    style.GRID: "var(--grid)",
    style.CALM: "var(--calm)",
    style.BLUE: "var(--blue)",
}


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure as the page shows it."""

    name: str
    title: str
    caption: str
    svg: str


def write_page(
    run: Run,
    findings: Sequence[Finding],
    figures: Mapping[str, Figure],
    *,
    metrics: Any = None,
    unfiltered: Sequence[Finding] = (),
) -> Path:
    """Write report.html into the run's directory and return its path.

    `run` is the whole run; `findings` and `figures` are of its valid blocks, `unfiltered` are the
    findings had nothing been excluded. `metrics` (a row per trial) fills the table of metrics.
    """
    path = run.directory / "report.html"
    path.write_text(
        render(run, findings, figures, metrics=metrics, unfiltered=unfiltered), encoding="utf-8"
    )
    return path


def render(
    run: Run,
    findings: Sequence[Finding],
    figures: Mapping[str, Figure],
    *,
    metrics: Any = None,
    unfiltered: Sequence[Finding] = (),
) -> str:
    """The page's text."""
    valid = valid_blocks(run)
    summary = [] if metrics is None else summarise(valid, metrics)
    shown = {
        "run": run,
        "meta": dict.fromkeys(_SHOWN_IF_THERE, "") | dict(run.meta),
        "findings": findings,
        "marks": VERDICT_MARKS,
        "plots": [_plot(name, figure) for name, figure in figures.items()],
        "tables": tables(valid, summary),
        "numbers": figure_table(findings),
        "excluded": exclusion_table(run, unfiltered, findings),
        "trials": len(run.trials),
        "valid_trials": len(valid.trials),
        "conditions": style.conditions(run),
        "environment": environment_rows(run.meta.get("environment", {})),
        "smoke": run.meta.get("profile") == "smoke",
    }
    return _template().render(shown)


def _template() -> Template:
    import jinja2

    loader = jinja2.PackageLoader("testbed.report", "templates")
    return jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html.j2")


def _plot(name: str, figure: Figure) -> Plot:
    title = figure.get_suptitle().splitlines()
    return Plot(
        name, title[0] if title else name, style.caption_of(figure), inline_svg(figure, name)
    )


def inline_svg(figure: Figure, name: str) -> str:
    """The figure for the middle of a page: scales with it and takes its colours.

    Ids are prefixed by the figure's name, for they are shared by the whole page.
    """
    text = style.svg_of(figure, name)
    for colour, variable in _THEMED.items():
        text = text.replace(colour, variable)
    # This rule would reach the page around the figure.
    text = re.sub(r"<style type=\"text/css\">.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", text, count=1)


def environment_rows(environment: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The environment flattened to (name, value), nested names joined by a space."""
    rows: list[tuple[str, str]] = []
    for key, value in environment.items():
        name = f"{prefix} {key}".strip()
        if isinstance(value, Mapping):
            rows += environment_rows(value, name)
        else:
            rows.append((name, str(value)))
    return rows
