"""Search lists: how many queries a name costs, where they are answered, and how long it takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import against_limit, decided, decided_on_limit, equivalence
from testbed.analysis.intervals import Interval, over_trials
from testbed.analysis.once import once_per_run
from testbed.analysis.run import Finding, Run
from testbed.dns.libc import musl_candidates
from testbed.dns.search import ResolvConf, candidates
from testbed.experiment.primary import Primary

NOTE = "lookups"
"""The kind of the note that holds a trial's cells."""
REQUESTS = tuple(f'coredns_dns_requests_total{{type="{kind}"}}' for kind in ("A", "AAAA"))
"""The queries of libraries: servers ask themselves, too, for other types (plug-in `loop`)."""
PLAIN, AUTOPATH, NODE_LOCAL = "plain", "autopath", "node-local"
PATHS = (PLAIN, AUTOPATH, NODE_LOCAL)
LIBRARIES = ("glibc", "glibc/single-request", "musl")
NDOTS = (1, 2, 3, 4, 5)
FULL, OUTSIDE = "web.default.svc.cluster.local", "www.example.test"
NAMES = ("web", "web.default", "web.default.svc", FULL, f"{FULL}.", OUTSIDE, f"{OUTSIDE}.")
"""As they are written: each longer than the one before, then a name outside the cluster."""
KUBERNETES_NDOTS = 5
_SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")


def predicted(library: str, name: str, ndots: int, path: str) -> int:
    """Queries that a look-up takes by what the library is known to do: A and AAAA for each name it tries.

    With autopath the servers go on by themselves, for whoever begins the search list.
    """
    conf = ResolvConf(("10.96.0.10",), _SEARCH, ndots=ndots)
    tried = (musl_candidates if library == "musl" else candidates)(name, conf)
    ends = {FULL, OUTSIDE} | ({f"{name}.{_SEARCH[0]}"} if path == AUTOPATH else set())
    last = next((at for at, one in enumerate(tried) if one in ends), len(tried) - 1)
    return 2 * (last + 1)


@once_per_run
def cells(run: Run) -> pd.DataFrame:
    """A row per trial, library, ndots and name: queries (per look-up, counted where the client asks),
    at_cluster (per look-up, counted at the cluster's servers), predicted, median_ms, p99_ms, failed (share).
    """
    notes = run.events[(run.events["source"] == "trial") & (run.events["kind"] == NOTE)]
    paths = dict(zip(run.trials["trial"], run.trials["path"], strict=True))
    rows = [
        _cell(trial, str(paths[trial]), cell)
        for trial, detail in zip(notes["trial"], notes["detail"], strict=True)
        if trial in paths
        for cell in detail["cells"]
    ]
    return pd.DataFrame(rows)


def _cell(trial: Any, path: str, cell: dict[str, Any]) -> dict[str, Any]:
    took_ms = np.asarray(cell["took_ns"], dtype=float) / 1e6
    lookups = max(took_ms.size, 1)
    library, name, ndots = cell["library"], cell["name"], int(cell["ndots"])
    return {
        "trial": trial,
        "path": path,
        "library": library,
        "ndots": ndots,
        "name": name,
        "queries": cell["asked"] / lookups,
        "at_cluster": cell["at_cluster"] / lookups,
        "predicted": predicted(library, name, ndots, path),
        "median_ms": float(np.median(took_ms)),
        "p99_ms": float(np.quantile(took_ms, 0.99)),
        "failed": cell["failed"] / lookups,
    }


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial; of glibc's look-ups with Kubernetes' ndots short_ms, outside_ms and their
    queries, outside_dot_ms (with a final dot), search_factor (outside_ms over outside_dot_ms); over all
    look-ups cluster_share (of queries, those that came to the cluster's servers) and off_by (queries per
    look-up, the cell that is furthest from what the library is known to ask).
    """
    table = cells(run)
    if table.empty:
        return pd.DataFrame(columns=pd.Index(("trial", "search_factor", "cluster_share", "off_by")))
    mine = table[(table["library"] == "glibc") & (table["ndots"] == KUBERNETES_NDOTS)]
    by_name = {name: rows.set_index("trial") for name, rows in mine.groupby("name")}
    sums = table.groupby("trial")[["queries", "at_cluster"]].sum()
    off = (table["queries"] - table["predicted"]).abs().groupby(table["trial"]).max()
    found = pd.DataFrame(
        {
            "short_ms": by_name["web"]["median_ms"],
            "short_queries": by_name["web"]["queries"],
            "outside_ms": by_name[OUTSIDE]["median_ms"],
            "outside_queries": by_name[OUTSIDE]["queries"],
            "outside_dot_ms": by_name[f"{OUTSIDE}."]["median_ms"],
            "search_factor": by_name[OUTSIDE]["median_ms"] / by_name[f"{OUTSIDE}."]["median_ms"],
            "cluster_share": sums["at_cluster"] / sums["queries"],
            "off_by": off,
        }
    )
    return found.rename_axis("trial").reset_index()


def of_arm(run: Run, arm: Arm) -> pd.DataFrame:
    """An arm's rows of `metrics`."""
    table = metrics(run)
    return table[table["trial"].isin(arm.trials)]


def findings(run: Run, hypothesis: str, limit: float, margin: float) -> list[Finding]:
    """Two answers for each path: whether the search list is cheap, and whether queries are as predicted."""
    found: list[Finding] = []
    for arm in arms(run):
        rows = of_arm(run, arm)
        factors = rows["search_factor"].dropna()
        cheap = decided_on_limit(against_limit(factors, np.zeros(len(factors), bool), limit))
        counted = decided([equivalence(rows["off_by"].dropna(), 0.0, margin)])
        figures = _figures(rows, limit, margin)
        for name, asks, answer in (
            ("search-is-cheap", f"is an outside name at most {limit:g} times as slow?", cheap),
            ("queries-as-predicted", "do libraries ask what they are known to?", counted),
        ):
            found.append(
                Finding(
                    question=f"{arm.label}: {asks}" if arm.label else asks.capitalize(),
                    hypothesis=hypothesis,
                    verdict=answer.verdict,
                    p_value=answer.p_value,
                    name=name,
                    arm=arm.label,
                    figures=figures,
                    answer=_sentence(rows, name),
                )
            )
    return found


def primaries(run: Run) -> list[Primary]:
    """By what an outside name is slower with Kubernetes' ndots than with a final dot."""
    return [
        Primary(
            "search-is-cheap",
            arm.factors,
            tuple(of_arm(run, arm)["search_factor"].dropna()),
            scale="log",
        )
        for arm in arms(run)
    ]


def _figures(rows: pd.DataFrame, limit: float, margin: float) -> dict[str, Any]:
    found: dict[str, Any] = {"trials": len(rows), "limit": limit, "margin": margin}
    for name in ("search_factor", "short_ms", "outside_ms", "outside_dot_ms"):
        found |= _limits(name, over_trials(rows[name].dropna(), scale="log"))
    for name in ("outside_queries", "cluster_share", "off_by"):
        found |= _limits(name, over_trials(rows[name].dropna()))
    return found


def _limits(name: str, interval: Interval) -> dict[str, Any]:
    low, high = interval.low, interval.high
    return {name: interval.estimate, f"{name}_ci95_low": low, f"{name}_ci95_high": high}


def _sentence(rows: pd.DataFrame, name: str) -> str:
    if rows.empty:
        return "No trial counted."
    if name == "queries-as-predicted":
        return (
            f"Over all names, libraries and ndots the count was off by {rows['off_by'].max():.2g} queries a"
            f" look-up at most; {rows['cluster_share'].mean():.1%} of all queries came to the cluster's"
            f" servers; n = {len(rows)} trials."
        )
    factor = over_trials(rows["search_factor"].dropna(), scale="log")
    between = ""
    if factor.low is not None and factor.high is not None:
        between = f" (95 % interval {factor.low:.2f} to {factor.high:.2f})"
    return (
        f"With ndots:{KUBERNETES_NDOTS} {OUTSIDE} took {rows['outside_queries'].mean():.1f} queries and"
        f" {_mean_ms(rows['outside_ms']):.2f} ms, {factor.estimate:.2f} times{between} its"
        f" {_mean_ms(rows['outside_dot_ms']):.2f} ms with a final dot; web took"
        f" {_mean_ms(rows['short_ms']):.2f} ms; n = {len(rows)} trials."
    )


def _mean_ms(values: pd.Series[float]) -> float:
    """Geometric."""
    return math.exp(float(np.log(values.astype(float)).mean()))
