"""A DNS pod dies: which look-ups fail, which are late, and for how long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.arms import Arm, arms
from testbed.analysis.equivalence import UNDECIDED, against_limit, decided_on_limit
from testbed.analysis.intervals import of_times, over_trials
from testbed.analysis.once import once_per_run
from testbed.analysis.run import Finding, Run
from testbed.dns.libc import NO_SUCH_NAME, OK
from testbed.dns.lookups import COLUMNS
from testbed.experiment.primary import Primary

NOTE = "lookups"
"""The kind of the note that holds the look-ups of a trial's client."""
FAULTS = ("crash", "hang", "stop-node")
LIBRARIES = ("glibc", "musl", "glibc/rotate")
ROTATE = LIBRARIES[2]
"""Asks the DNS pods themselves, in turn: what resolv.conf would say without a service."""
SAME, NEW = "same", "new"
"""A name that is looked up again and again, and one that nobody has asked for before."""
NAMES = (SAME, NEW)
LATE_MS = 250.0
"""Far above what an answer takes, below the shortest timeout of a resolver (1 s)."""


@once_per_run
def lookups(run: Run) -> pd.DataFrame:
    """A row per look-up: trial, client, library, name (same or new), after_s (its begin after the fault),
    took_ms, answered (yes or no, but an answer), late, sent, address.
    """
    notes = run.events[(run.events["source"] == "trial") & (run.events["kind"] == NOTE)]
    faults = run.events[run.events["source"] == "fault"].groupby("trial")["t_ns"].min()
    parts = []
    for trial, detail in zip(notes["trial"], notes["detail"], strict=True):
        for stream in detail["streams"]:
            rows = pd.DataFrame(stream["rows"], columns=pd.Index(COLUMNS))
            parts.append(
                pd.DataFrame(
                    {
                        "trial": trial,
                        "client": detail["client"],
                        "library": stream["library"],
                        "name": NEW if "{n}" in stream["name"] else SAME,
                        "after_s": (rows["start_ns"] - faults.get(trial, np.nan)) / 1e9,
                        "took_ms": rows["took_ns"] / 1e6,
                        "answered": rows["outcome"].isin((OK, NO_SUCH_NAME)),
                        "sent": rows["sent"],
                    }
                )
            )
    columns = ("trial", "client", "library", "name", "after_s", "took_ms", "answered", "sent")
    if not parts:
        return pd.DataFrame(columns=pd.Index((*columns, "late")))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(late=table["answered"] & (table["took_ms"] > LATE_MS))


@once_per_run
def per_stream(run: Run) -> pd.DataFrame:
    """A row per trial, library and name, of look-ups begun within the trial's trouble (from the fault until
    the last one that was late or failed, in any stream): lookups, failed_share, late_share; and, over all
    after the fault, trouble_ms (begin of the last that was late or failed), p99_ms, worst_ms.
    """
    table = lookups(run)
    later = table[table["after_s"] >= 0]
    bad = later[~later["answered"] | later["late"]]
    trouble_s = bad.groupby("trial")["after_s"].max()
    rows = []
    for (trial, library, name), mine in later.groupby(["trial", "library", "name"], sort=True):
        within = mine[mine["after_s"] <= trouble_s.get(trial, 0.0)]
        own = mine[~mine["answered"] | mine["late"]]
        rows.append(
            {
                "trial": trial,
                "library": library,
                "name": name,
                "lookups": len(within),
                "failed_share": float((~within["answered"]).mean()) if len(within) else 0.0,
                "late_share": float(within["late"].mean()) if len(within) else 0.0,
                "trouble_ms": 1e3 * float(own["after_s"].max()) if len(own) else 0.0,
                "p99_ms": float(mine["took_ms"].quantile(0.99)),
                "worst_ms": float(mine["took_ms"].max()),
            }
        )
    columns = (
        *("trial", "library", "name", "lookups", "failed_share", "late_share"),
        *("trouble_ms", "p99_ms", "worst_ms"),
    )
    return pd.DataFrame(rows, columns=pd.Index(columns))


def before(run: Run) -> pd.Series[float]:
    """By trial, the share of look-ups that were late or failed without a fault: begun so long before it that
    they had the time. More than a few: the machine, or the servers, had too much to do.
    """
    table = lookups(run)
    earlier = table[table["after_s"] < -LATE_MS / 1e3]
    bad = ~earlier["answered"].astype(bool) | earlier["late"].astype(bool)
    return bad.astype(float).groupby(earlier["trial"]).mean()


@once_per_run
def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, before_share (late or failed without a fault), and of each library and kind of
    name failed_share, late_share, trouble_ms and worst_ms (`glibc_same_failed_share`, …).
    """
    table = per_stream(run)
    if table.empty:
        return pd.DataFrame(columns=pd.Index(("trial",)))
    parts = [before(run).rename("before_share").to_frame()]
    for (library, name), rows in table.groupby(["library", "name"], sort=True):
        prefix = f"{word(str(library))}_{name}"
        wanted = ["failed_share", "late_share", "trouble_ms", "worst_ms"]
        parts.append(rows.set_index("trial")[wanted].add_prefix(f"{prefix}_"))
    return pd.concat(parts, axis=1).rename_axis("trial").reset_index()


def word(library: str) -> str:
    """As part of a metric's name."""
    return library.replace("/", "_").replace("-", "_")


def of_arm(run: Run, arm: Arm, library: str = "glibc", name: str = SAME) -> pd.DataFrame:
    """An arm's rows of `per_stream`."""
    table = per_stream(run)
    mine = (table["library"] == library) & (table["name"] == name)
    return table[mine & table["trial"].isin(arm.trials)]


def findings(run: Run, hypothesis: str, limits_ms: dict[str, float], share: float) -> list[Finding]:
    """Two answers for each arm, both of glibc: whether look-ups fail, and when it is over. `limits_ms` is by
    the arm's label.
    """
    found: list[Finding] = []
    for arm in arms(run):
        rows = of_arm(run, arm)
        limit_ms = limits_ms[arm.label]
        none = np.zeros(len(rows), bool)
        fails = decided_on_limit(against_limit(rows["failed_share"], none, share))
        over = decided_on_limit(against_limit(rows["trouble_ms"], none, limit_ms))
        if (
            _busy(run, arm) > share
        ):  # what a fault does cannot be told from what there was before it
            fails = over = UNDECIDED
        for name, asks, answer in (
            (
                "answers-in-the-end",
                f"do less than {share:.0%} of the look-ups fail meanwhile?",
                fails,
            ),
            (
                "soon-over",
                f"is the last look-up in trouble begun within {limit_ms / 1e3:g} s?",
                over,
            ),
        ):
            found.append(
                Finding(
                    question=f"{arm.label}: {asks}" if arm.label else asks.capitalize(),
                    hypothesis=hypothesis,
                    verdict=answer.verdict,
                    p_value=answer.p_value,
                    name=name,
                    arm=arm.label,
                    figures=_figures(run, arm, limit_ms, share),
                    answer=_sentence(run, arm),
                )
            )
    return found


def primaries(run: Run) -> list[Primary]:
    """When the trouble is over, for glibc."""
    return [
        Primary("soon-over", arm.factors, tuple(of_arm(run, arm)["trouble_ms"]))
        for arm in arms(run)
    ]


def _in_trouble(rows: pd.DataFrame) -> tuple[float, ...]:
    """Where there was none there is no logarithm."""
    return tuple(rows.loc[rows["trouble_ms"] > 0, "trouble_ms"])


def _busy(run: Run, arm: Arm) -> float:
    """What was in trouble before the fault, over an arm's trials."""
    return float(before(run).reindex(list(arm.trials)).fillna(0.0).mean())


def _figures(run: Run, arm: Arm, limit_ms: float, share: float) -> dict[str, Any]:
    found: dict[str, Any] = {"limit_ms": limit_ms, "limit_share": share}
    found["before_share"] = _busy(run, arm)
    table = per_stream(run)
    known = table[["library", "name"]].drop_duplicates().astype(str)
    for library, name in sorted(known.itertuples(index=False, name=None)):
        rows = of_arm(run, arm, library, name)
        found["trials"] = len(rows)
        for column in ("failed_share", "late_share"):
            interval = over_trials(rows[column])
            key = f"{word(library)}_{name}_{column}"
            found |= {key: interval.estimate, f"{key}_ci95_low": interval.low,
                      f"{key}_ci95_high": interval.high}  # fmt: skip
    rows = of_arm(run, arm)
    over = of_times(rows["trouble_ms"], np.zeros(len(rows), bool))
    return found | {
        "trouble_ms": over.estimate,
        "trouble_ci95_low_ms": over.low,
        "trouble_ci95_high_ms": over.high,
        "worst_ms": float(rows["worst_ms"].max()) if len(rows) else None,
    }


def _sentence(run: Run, arm: Arm) -> str:
    rows = of_arm(run, arm)
    if rows.empty:
        return "No trial counted."
    said = []
    for library in LIBRARIES:
        mine = of_arm(run, arm, library)
        if len(mine):
            said.append(
                f"{library} {mine['failed_share'].mean():.1%} failed and"
                f" {mine['late_share'].mean():.1%} late, at worst {mine['worst_ms'].max() / 1e3:.2f} s"
            )
    busy = _busy(run, arm)
    return (
        (f"Without a fault {busy:.1%} were in trouble already. " if busy else "")
        + f"Of look-ups begun from the fault until the last one in trouble: {'; '.join(said)}. With glibc the"
        f" last one in trouble was begun {rows['trouble_ms'].median() / 1e3:.2f} s after the fault (median);"
        f" n = {len(rows)} trials."
    )
