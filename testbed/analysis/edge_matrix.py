"""The edge matrix of a run: which rows of which arm were not as promised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.once import once_per_run
from testbed.analysis.run import Finding, Run
from testbed.edge.doors import ROWS, Row
from testbed.edge.matrix import Attempt, wrong
from testbed.edge.promises import Setting

NOTE = "edge-row"
"""Of one row: {row, provider, mode, routers, profile, attempts: [[who, seen, handed, hops, error, behind],
…]}."""
_BY_NAME = {row.name: row for row in ROWS}


@dataclass(frozen=True, slots=True)
class Dialled:
    """One row in one trial; `trouble` "": as promised."""

    trial: Any
    row: Row
    setting: Setting
    attempts: tuple[Attempt, ...]
    trouble: str


@once_per_run
def dialled(run: Run) -> tuple[Dialled, ...]:
    """Every row of every trial."""
    return tuple(_dialled(run))


def _dialled(run: Run) -> Iterator[Dialled]:
    notes = run.events[(run.events["source"] == "trial") & (run.events["kind"] == NOTE)]
    for trial, note in zip(notes["trial"], notes["detail"], strict=True):
        row = _BY_NAME[note["row"]]
        attempts = tuple(Attempt(*one) for one in note["attempts"])
        here = Setting(note["mode"], note["provider"], note["routers"], note["profile"])
        yield Dialled(trial, row, here, attempts, wrong(row, attempts, row.caller, here))


def note_of(row: Row, attempts: tuple[Attempt, ...], here: Setting) -> dict[str, Any]:
    """What a trial notes of a row."""
    return {
        "row": row.name,
        "provider": here.provider,
        "mode": here.mode,
        "routers": here.routers,
        "profile": here.profile,
        "attempts": [[a.who, a.seen, a.handed, a.hops, a.error, a.behind] for a in attempts],
    }


def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, rows_dialled, rows_wrong."""
    rows = [
        {"trial": one.trial, "rows_dialled": 1, "rows_wrong": bool(one.trouble)}
        for one in dialled(run)
    ]
    columns = ["trial", "rows_dialled", "rows_wrong"]
    return pd.DataFrame(rows, columns=columns).groupby("trial", as_index=False).sum()


def findings(run: Run, question: str, hypothesis: str) -> list[Finding]:
    """An answer for each arm, and one over all of them."""
    parts = arms(run)
    found = [_finding(run, arm, (question, hypothesis)) for arm in parts]
    return [_finding(run, None, (question, hypothesis)), *found] if len(parts) > 1 else found


def of_arm(run: Run, arm: Arm | None) -> list[Dialled]:
    """The rows of an arm's trials; None: of all."""
    return [one for one in dialled(run) if arm is None or one.trial in set(arm.trials)]


def _finding(run: Run, arm: Arm | None, said: tuple[str, str]) -> Finding:
    rows = of_arm(run, arm)
    bad = [one for one in rows if one.trouble]
    attempts = sum(len(one.attempts) for one in rows)
    trials = len({one.trial for one in rows})
    plural = "s" * (trials != 1)
    answer = f"{len(bad)} wrong of {len(rows)} rows, {attempts} connections, {trials} trial{plural}"
    if bad:
        answer += f": {bad[0].row.name}: {bad[0].trouble}"
    figures = {"rows": len(rows), "wrong": len(bad), "connections": attempts, "trials": trials}
    return Finding(
        question=said[0],
        hypothesis=said[1],
        verdict="undecided" if not rows else "does not hold" if bad else "holds",
        figures=figures,
        answer=f"{answer}.",
        name="edge-matrix",
        arm=arm.label if arm is not None else "",
        confirmatory=arm is not None,
    )
