"""One run as the page shows it: everything that is said, before it is laid out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.analysis.arms import valid_blocks
from testbed.analysis.run import Finding, Run
from testbed.analysis.summary import summarise
from testbed.report import style
from testbed.report.answers import Matrix, Question, matrix, questions, tally
from testbed.report.tables import Table, tables
from testbed.report.trust import trust_tables

THEMED = {
    style.INK: "var(--ink)",
    style.PAPER: "var(--paper)",
    style.GRID: "var(--grid)",
    style.CALM: "var(--calm)",
    style.BLUE: "var(--blue)",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure that was drawn: `words` tell a plot each, `svg` is the element."""

    name: str
    title: str
    caption: str
    words: tuple[str, ...]
    svg: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: `findings` of its valid blocks, `unfiltered` had nothing been excluded.

    `metrics` has a row per trial; None: the experiment measures none.
    """

    run: Run
    findings: Sequence[Finding]
    unfiltered: Sequence[Finding]
    metrics: Any
    figures: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """`prefix` begins each id, so that several runs fit on one page."""

    prefix: str
    experiment: str
    name: str
    question: str
    facts: tuple[str, ...]
    warnings: tuple[str, ...]
    smoke: bool
    tally: str
    questions: tuple[Question, ...]
    matrix: Matrix | None
    figures: tuple[Drawn, ...]
    tables: tuple[Table, ...]
    trust: tuple[Table, ...]
    excluded: int
    method: tuple[tuple[str, str], ...]
    command: str
    directory: str
    environment: tuple[tuple[str, str], ...]


def chapter(outcome: Outcome, prefix: str = "") -> Chapter:
    """The run's part of a page."""
    run, meta = outcome.run, outcome.run.meta
    valid = valid_blocks(run)
    summary = [] if outcome.metrics is None else summarise(valid, outcome.metrics)
    asked = questions(outcome.findings, prefix)
    status = str(meta.get("status", "complete"))
    return Chapter(
        prefix=prefix,
        experiment=str(meta["experiment"]),
        name=str(meta.get("run") or run.directory.name),
        question=str(meta.get("question", "")),
        facts=_facts(run, valid),
        warnings=() if status == "complete" else (f"run is {status}",),
        smoke=meta.get("profile") == "smoke",
        tally=tally(outcome.findings),
        questions=asked,
        matrix=matrix(asked),
        figures=tuple(_themed(figure, prefix) for figure in outcome.figures),
        tables=tables(valid, summary),
        trust=trust_tables(run, outcome.findings, outcome.unfiltered),
        excluded=len(run.trials) - len(valid.trials),
        method=_method(meta),
        command=str(meta.get("command", "")),
        directory=str(run.directory),
        environment=(*machines_row(meta), *environment_rows(meta.get("environment", {}))),
    )


def _facts(run: Run, valid: Run) -> tuple[str, ...]:
    profile = run.meta.get("profile")
    return (
        f"{len(valid.trials)} of {len(run.trials)} trials count",
        *((f"profile {profile}",) if profile else ()),
        *style.conditions(run),
    )


def _method(meta: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    rows = [
        ("Hypothesis", str(meta.get("hypothesis", ""))),
        ("Refuted if", str(meta.get("refuted_if", ""))),
        *(
            (f"Factor {name}", ", ".join(map(str, values)))
            for name, values in (meta.get("factors") or {}).items()
        ),
        (
            "Seed",
            f"{meta.get('seed', 'not recorded')}; it fixes schedules and the order of trials, not"
            " the random picks of the kernel",
        ),
    ]
    return tuple(row for row in rows if row[1])


def _themed(figure: Drawn, prefix: str) -> Drawn:
    svg = inline_svg(figure.svg, f"{prefix}{figure.name}")
    return Drawn(figure.name, figure.title, figure.caption, figure.words, svg)


def inline_svg(text: str, name: str) -> str:
    """An `<svg>` for the middle of a page: scales with it and takes its colours.

    Ids are prefixed by the name, for they are shared by the whole page.
    """
    for colour, variable in THEMED.items():
        text = text.replace(colour, variable)
    # This rule would reach the page around the figure.
    text = re.sub(r"<style type=\"text/css\">.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", text, count=1)


def machines_row(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Of a run on several machines: their names. The environment is that of the first one."""
    names = list(meta.get("machines", {}))
    return [("machines", f"{', '.join(names)}; what follows is {names[0]}")] if names[1:] else []


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
