"""Keep-alive: connections are balanced, requests only as far as their connections are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.arms import arms
from testbed.analysis.equivalence import decided, equivalence
from testbed.analysis.intervals import in_words, over_trials
from testbed.analysis.picks import backends_of, picks
from testbed.analysis.run import Finding, Run
from testbed.experiment.primary import Primary
from testbed.traffic import evenness


def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, connections, requests, connection_cv, request_cv, random_cv, excess_cv.

    Coefficients of variation over the backends, all clients together. `random_cv` is what requests
    would show on average if each of the trial's connections had gone to a random backend;
    `excess_cv` is request_cv less that.
    """
    by_request = picks(run, "request")
    by_connection = picks(run, "connection")
    backends = backends_of(run, by_request)
    sizes = _requests_per_connection(run)
    rows = []
    for trial, requests in by_request.groupby("trial", sort=True):
        names = backends[trial]
        connections = by_connection[by_connection["trial"] == trial]
        request_cv = _cv(requests, names)
        random_cv = expected_cv(sizes[trial], len(names))
        rows.append(
            (trial, len(connections), len(requests), _cv(connections, names), request_cv, random_cv,
             request_cv - random_cv)
        )  # fmt: skip
    columns = ("connections", "requests", "connection_cv", "request_cv", "random_cv", "excess_cv")
    return pd.DataFrame(rows, columns=pd.Index(("trial", *columns)))


def _cv(table: pd.DataFrame, names: tuple[str, ...]) -> float:
    counts = table["backend"].value_counts()
    return evenness.coefficient_of_variation(
        np.asarray([int(counts.get(name, 0)) for name in names], dtype=np.int64)
    )


def _requests_per_connection(run: Run) -> Mapping[Any, NDArray[np.int64]]:
    samples = run.requests.columns("trial", "stream", "picked_backend", "client", "connection")
    known = samples[(samples["stream"] == "main") & samples["picked_backend"].notna()]
    counts = known.groupby(["trial", "client", "connection"]).size()
    found: dict[Any, NDArray[np.int64]] = {}
    for trial, rows in counts.groupby(level="trial"):
        found[trial] = rows.to_numpy().astype(np.int64)
    return found


def expected_cv(requests_per_connection: NDArray[np.int64], backends: int) -> float:
    """Mean coefficient of variation of requests over backends when each connection goes to a random
    one: that of as many equal connections as weigh the same (Kish 1965), from the chi distribution.
    """
    sizes = requests_per_connection.astype(float)
    if not sizes.size or backends < 2:
        return math.nan
    effective = sizes.sum() ** 2 / (sizes**2).sum()
    return _chi_mean(backends - 1) / math.sqrt(effective)


def random_cv_spread(connections: float, backends: int) -> float:
    """Standard deviation between trials of that, for as many equal connections: of a chi distribution."""
    return math.sqrt((backends - 1 - _chi_mean(backends - 1) ** 2) / connections)


def _chi_mean(freedom: int) -> float:
    return math.sqrt(2) * math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2)


def findings(run: Run, hypothesis: str, margin: float) -> list[Finding]:
    """For each arm, whether requests are as uneven as randomly picked connections make them."""
    table = metrics(run)
    found = list(arms(run))
    rows = [table[table["trial"].isin(arm.trials)] for arm in found]
    answers = [decided([equivalence(one["excess_cv"].dropna(), 0.0, margin)]) for one in rows]
    return [
        Finding(
            question=f"{arm.label}: are requests as uneven as random connections make them?",
            hypothesis=hypothesis,
            verdict=answer.verdict,
            p_value=answer.p_value,
            name="as-random-connections",
            arm=arm.label,
            figures=_figures(one, margin),
            answer=_sentence(one),
        )
        for arm, one, answer in zip(found, rows, answers, strict=True)
    ]


def primaries(run: Run) -> list[Primary]:
    """How much more uneven requests are than random connections make them; a percentage is of that."""
    table = metrics(run)
    mine = ((arm, table[table["trial"].isin(arm.trials)]) for arm in arms(run))
    return [
        Primary(
            "as-random-connections",
            arm.factors,
            tuple(rows["excess_cv"].dropna()),
            level=float(rows["random_cv"].mean()),
        )
        for arm, rows in mine
    ]


def _figures(table: pd.DataFrame, margin: float) -> dict[str, Any]:
    request_cv = over_trials(table["request_cv"].dropna())
    excess = over_trials(table["excess_cv"].dropna())
    return {
        "trials": request_cv.n,
        "margin": margin,
        "connections": float(table["connections"].mean()),
        "requests": float(table["requests"].mean()),
        "connection_cv": over_trials(table["connection_cv"].dropna()).estimate,
        "request_cv": request_cv.estimate,
        "request_cv_ci95_low": request_cv.low,
        "request_cv_ci95_high": request_cv.high,
        "random_cv": float(table["random_cv"].mean()),
        "excess_cv": excess.estimate,
        "excess_cv_ci95_low": excess.low,
        "excess_cv_ci95_high": excess.high,
    }


def _sentence(table: pd.DataFrame) -> str:
    if table.empty:
        return "No trial with connections."
    excess = over_trials(table["excess_cv"].dropna())
    interval = in_words(excess, "+.3f")
    return (
        f"{table['requests'].mean():.0f} requests on {table['connections'].mean():.0f} connections: "
        f"their coefficient of variation is {table['request_cv'].mean():.3f}, random picks would give "
        f"{table['random_cv'].mean():.3f}; difference {excess.estimate:+.3f} ({interval}); "
        f"n = {excess.n} trials."
    )
