"""From a stored run to its figures and page: analysis that can be repeated at any time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from testbed.analysis.arms import valid_blocks
from testbed.analysis.multiplicity import corrected
from testbed.analysis.planning import spreads
from testbed.analysis.run import Finding, Run
from testbed.analysis.summary import finite, summarise, with_metrics
from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.experiment.atomic import write_atomically
from testbed.experiment.primary import Primary
from testbed.report import style
from testbed.report.chapter import Drawn, Outcome
from testbed.report.page import write_page
from testbed.report.words import in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Analysis(Protocol):
    """What an experiment brings to its report; `measure` and `primary` may be None."""

    @property
    def analyse(self) -> Callable[[Run], Sequence[Finding]]: ...
    @property
    def plot(self) -> Callable[[Run], Mapping[str, Figure]]: ...
    @property
    def measure(self) -> Callable[[Run], pd.DataFrame] | None: ...
    @property
    def primary(self) -> Callable[[Run], Sequence[Primary]] | None: ...


def build(run: Run, analysis: Analysis) -> tuple[Path, list[Finding]]:
    """Analyse a run and write all that follows from its data, `report.html` too; returns the page's
    path and the findings. Raises as `analysed` does.
    """
    outcome = analysed(run, analysis)
    return write([outcome], run.directory / "report.html"), list(outcome.findings)


def analysed(run: Run, analysis: Analysis) -> Outcome:
    """Analyse a run and write what follows from its data, but for the page.

    Written: figures/, summary.json; metrics into trials.csv, findings into run.json. Only blocks
    without an invalid trial count. Raises UsageError where no such block is left, OutOfTimeOrRoom
    where the directory cannot be written.
    """
    valid = valid_blocks(run)
    if valid.trials.empty:
        raise UsageError(
            f"{run.directory}: no block of trials is valid, there is nothing to report",
            "trials.csv says why; continue the run with --resume",
        )
    findings = corrected(analysis.analyse(valid))
    figures = analysis.plot(valid)
    filtered = len(valid.trials) < len(run.trials)
    everything = corrected(analysis.analyse(run)) if filtered else findings
    primary = [] if analysis.primary is None else spreads(analysis.primary(valid), valid)
    metrics = None if analysis.measure is None else analysis.measure(run)
    try:
        drawn = style.save(figures, run.directory / "figures")
        _write_tables(run, valid, metrics)
        _write_json(
            run.directory / "run.json",
            {
                **run.meta,
                "findings": [finding.to_json() for finding in findings],
                "primary": primary,
            },
        )
    except OSError as problem:
        raise _no_room(run.directory, problem) from problem
    return Outcome(
        run,
        findings,
        everything,
        metrics,
        tuple(_drawn(name, figure, drawn[name]) for name, figure in figures.items()),
    )


def write(outcomes: Sequence[Outcome], path: Path) -> Path:
    """Write the page of these runs and return its path. Raises OutOfTimeOrRoom."""
    try:
        return write_page(outcomes, path)
    except OSError as problem:
        raise _no_room(path, problem) from problem


def _no_room(path: Path, problem: OSError) -> OutOfTimeOrRoom:
    return OutOfTimeOrRoom(
        f"{path} cannot be written: {problem.strerror}",
        "make room there, or copy the run to where you may write",
    )


def _drawn(name: str, figure: Figure, svg: str) -> Drawn:
    title = figure.get_suptitle().splitlines()
    return Drawn(name, title[0] if title else name, style.caption_of(figure), in_words(figure), svg)


def _write_tables(run: Run, valid: Run, metrics: pd.DataFrame | None) -> None:
    rows: list[dict[str, Any]] = []
    if metrics is not None:
        table = with_metrics(run, metrics)
        path = run.directory / "trials.csv"
        write_atomically(path, lambda draft: table.to_csv(draft, index=False))
        rows = summarise(valid, metrics)
    _write_json(run.directory / "summary.json", rows)


def _write_json(path: Path, value: Any) -> None:
    """JSON that every reader takes: what is no finite number is null."""
    text = json.dumps(json_safe(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def json_safe(value: Any) -> Any:
    """The value with numbers that JSON does not know (NaN, infinity) as null."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return finite(value) if isinstance(value, float) else value
