"""Balance: does each backend get its share? Figures per trial, transitions, and the verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import Equivalence, decided, equivalence
from testbed.analysis.once import once_per_run
from testbed.analysis.picks import ALL_CLIENTS, Unit, backends_of, picks, sequences
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary
from testbed.traffic import evenness

MARGIN = 0.01
"""One percentage point of share."""


@once_per_run
def shares(run: Run, unit: Unit = "connection") -> pd.DataFrame:
    """A row per trial, scope (`all clients` or a client node) and backend.

    Columns: trial, scope, backend, picks, n (picks of the scope), share, expected.
    """
    rows = []
    for trial, scope, table, backends in _scopes(run, unit):
        counts = table["backend"].value_counts()
        for backend in backends:
            count = int(counts.get(backend, 0))
            rows.append(
                (trial, scope, backend, count, len(table), count / len(table), 1 / len(backends))
            )
    columns = ("trial", "scope", "backend", "picks", "n", "share", "expected")
    return pd.DataFrame(rows, columns=pd.Index(columns))


@once_per_run
def evenness_by_scope(run: Run, unit: Unit = "connection") -> pd.DataFrame:
    """A row per trial and scope: trial, scope, n, backends, cv, jain, max_over_mean, entropy_bits,
    chi2_p. Entropy and chi-square are of connections only: requests repeat their connection's pick.
    """
    rows: list[dict[str, Any]] = []
    for trial, scope, table, backends in _scopes(run, unit):
        runs = sequences(table, backends)
        counts = np.bincount(np.concatenate(runs), minlength=len(backends))
        row = {
            "trial": trial,
            "scope": scope,
            "n": len(table),
            "backends": len(backends),
            "cv": evenness.coefficient_of_variation(counts),
            "jain": evenness.jain_index(counts),
            "max_over_mean": evenness.max_over_mean(counts),
        }
        if unit == "connection":
            transitions = evenness.transition_counts(runs, len(backends))
            row["entropy_bits"] = evenness.next_pick_entropy_bits(transitions)
            row["chi2_p"] = evenness.chi_square_p(counts)
        rows.append(row)
    return pd.DataFrame(rows)


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial, to stand beside its factors in trials.csv; over all clients.

    Columns: trial, connections, and cv, jain, max_over_mean, entropy_bits, chi2_p of connections,
    share_error_max (the largest deviation of a share from the expected one), and request_cv.
    """
    table = evenness_by_scope(run)
    if table.empty:
        return pd.DataFrame({"trial": run.trials["trial"]})
    table = table[table["scope"] == ALL_CLIENTS].drop(columns=["scope", "backends"])
    share = shares(run)
    share = share[share["scope"] == ALL_CLIENTS]
    error = (share["share"] - share["expected"]).abs().groupby(share["trial"]).max()
    by_request = evenness_by_scope(run, "request")
    requests = by_request[by_request["scope"] == ALL_CLIENTS].set_index("trial")["cv"]
    return table.rename(columns={"n": "connections"}).assign(
        share_error_max=table["trial"].map(error), request_cv=table["trial"].map(requests)
    )


@dataclass(frozen=True, slots=True)
class Transitions:
    """Counts of pick-to-pick transitions of one arm, summed over its trials and client nodes."""

    arm: str
    backends: tuple[str, ...]
    counts: evenness.Counts


@once_per_run
def transitions(run: Run) -> tuple[Transitions, ...]:
    """One matrix for each arm: row the pick, column the next pick of the same node's kernel."""
    table = picks(run, "connection")
    names = backends_of(run, table)
    found = []
    for arm in arms(run):
        backends = tuple(sorted({name for trial in arm.trials for name in names[trial]}))
        runs = [
            sequence
            for trial in arm.trials
            for sequence in sequences(table[table["trial"] == trial], backends)
        ]
        counts = evenness.transition_counts(runs, len(backends))
        found.append(Transitions(arm.label, backends, counts))
    return tuple(found)


def uniformity_p(p_values: pd.Series[float]) -> float:
    """p of the trials' p-values being uniform (Kolmogorov-Smirnov): they are if picks are fair."""
    known = p_values.dropna()
    return float(stats.kstest(known, "uniform").pvalue) if len(known) >= 5 else math.nan


def findings(run: Run, hypothesis: str, margin: float = MARGIN) -> list[Finding]:
    """Three confirmatory answers: over all clients, from each client node, and per request. A
    question that no arm can answer (no reuse: requests are connections) is left out.
    """
    families = [
        (name, question, _compare(table, group, margin))
        for name, question, table, group in _asked(run)
    ]
    answers = [
        (name, question, family, decided(list(family.values())))
        for name, question, family in families
        if family
    ]
    chi = evenness_by_scope(run)
    uniform = uniformity_p(chi.loc[chi["scope"] == ALL_CLIENTS, "chi2_p"]) if len(chi) else math.nan
    return [
        Finding(
            question=question,
            hypothesis=hypothesis,
            verdict=answer.verdict,
            p_value=answer.p_value,
            name=name,
            figures=_figures(family, margin) | {"chi2_p_uniformity_p": uniform},
            answer=_sentence(family, margin),
        )
        for name, question, family, answer in answers
    ]


def _asked(run: Run) -> list[tuple[str, str, pd.DataFrame, tuple[Arm, ...]]]:
    """(name, question, shares, the arms that can answer it)."""
    by_connection, by_request = shares(run), shares(run, "request")
    everyone = by_connection["scope"] == ALL_CLIENTS
    reusing = tuple(arm for arm in arms(run) if float(arm.factors.get("reuse", 1)) > 1)
    return [
        ("share-overall", "Over all clients, does each backend get its share of connections?",
         by_connection[everyone], arms(run)),
        ("share-per-node", "From each client node, does each backend get its share of connections?",
         by_connection[~everyone], arms(run)),
        ("share-of-requests", "With connections reused, does each backend get its share of requests?",
         by_request[by_request["scope"] == ALL_CLIENTS], reusing),
    ]  # fmt: skip


def primaries(run: Run) -> list[Primary]:
    """Every share that a verdict is about; a percentage is of the expected one."""
    return [
        Primary(
            name,
            arm.factors,
            tuple(part["share"]),
            detail=f"{backend} from {scope}",
            level=float(part["expected"].mean()),
        )
        for name, _, table, group in _asked(run)
        for arm in group
        for (scope, backend), part in table[table["trial"].isin(arm.trials)].groupby(
            ["scope", "backend"], sort=True, observed=True
        )
    ]


Family = dict[tuple[str, str, str], Equivalence]
"""(arm, scope, backend) -> its comparison with the expected share."""


def _compare(table: pd.DataFrame, group: tuple[Arm, ...], margin: float) -> Family:
    """Each backend's share in each arm and scope against its expected share, one number a trial."""
    found = {}
    for arm in group:
        rows = table[table["trial"].isin(arm.trials)]
        for (scope, backend), part in rows.groupby(["scope", "backend"], sort=True):
            deviation = part["share"] - part["expected"]
            found[arm.label, str(scope), str(backend)] = equivalence(deviation, 0.0, margin)
    return found


def _figures(family: Family, margin: float) -> dict[str, float | int | str | None]:
    (arm, scope, backend), worst = _worst(family)
    return {
        "margin_points": margin * 100,
        "comparisons": len(family),
        "trials_per_arm_min": min(item.n for item in family.values()),
        "worst_deviation_points": worst.estimate * 100,
        "worst_ci90_low_points": None if worst.low is None else worst.low * 100,
        "worst_ci90_high_points": None if worst.high is None else worst.high * 100,
        "worst_arm": arm,
        "worst_scope": scope,
        "worst_backend": backend,
        "p_inside_max": max(item.p_inside for item in family.values()),
        "p_outside_min": min(item.p_outside for item in family.values()),
    }


def _worst(family: Family) -> tuple[tuple[str, str, str], Equivalence]:
    return max(family.items(), key=lambda item: abs(item[1].estimate))


def _sentence(family: Family, margin: float) -> str:
    (arm, scope, backend), worst = _worst(family)
    where = ", ".join(part for part in (scope, arm) if part)
    interval = (
        f"90 % interval {worst.low * 100:+.2f} to {worst.high * 100:+.2f}"
        if worst.low is not None and worst.high is not None
        else "too few trials for an interval"
    )
    return (
        f"The share furthest from even is that of {backend} ({where}): "
        f"{worst.estimate * 100:+.2f} percentage points, {interval}, "
        f"against a margin of {margin * 100:g}; n = {worst.n} trials an arm."
    )


def _scopes(run: Run, unit: Unit) -> Iterator[tuple[Any, str, pd.DataFrame, tuple[str, ...]]]:
    """(trial, scope, its picks, the trial's backends) for all clients and each client node."""
    table = picks(run, unit)
    names = backends_of(run, table)
    for trial, rows in table.groupby("trial", sort=True):
        yield trial, ALL_CLIENTS, rows, names[trial]
        for node, part in rows.groupby("client_node", sort=True):
            yield trial, str(node), part, names[trial]
