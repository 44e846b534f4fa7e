"""From the notes of a run's trials to its findings: one per issue and arm, and one per issue. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from testbed.analysis.run import Finding, Run, Verdict
from testbed.claims.claim import Judgement, Observation
from testbed.issues.bugs import NONE
from testbed.issues.issue import Issue
from testbed.issues.register import ISSUES

NOTE = "issue"
"""The kind of the events that hold what a trial saw; their detail has `issue`, its name, beside."""
WORDS: Mapping[Verdict, str] = {
    "holds": "reproduced",
    "does not hold": "not reproduced",
    "undecided": "undecided",
}


def findings(run: Run) -> list[Finding]:
    """Every issue that was attempted, in each mode and under each switch; and over all arms without one."""
    kernel = kernel_name(run)
    found: list[Finding] = []
    for issue in ISSUES:
        judged: dict[tuple[str, str], Judgement] = {}
        for mode, bug in arms(run):
            observed = observations(run, issue.name, mode, bug)
            if observed:
                judged[mode, bug] = issue.judge(observed, kernel)
        found += [_finding(issue, arm, judgement) for arm, judgement in judged.items()]
        if len(judged) > 1:
            found.append(_over_arms(issue, judged))
    return found


def arms(run: Run) -> list[tuple[str, str]]:
    """(mode, switch) of the run's trials, in the order of the factors' values."""
    factors = run.meta["factors"]
    present = set(zip(run.trials["proxy"], run.trials["bug"], strict=True))
    return [(m, b) for m in factors["proxy"] for b in factors["bug"] if (m, b) in present]


def kernel_name(run: Run) -> str:
    """The kernel that carried the labs, as answers name it."""
    kernel = run.meta.get("environment", {}).get("kernel", {})
    release = kernel.get("release", "an unknown release")
    return f"Linux {release}" + (" (guest)" if kernel.get("carrier") == "uml" else "")


def label(mode: str, bug: str) -> str:
    """An arm's name in tables: a fault that was switched on is always said."""
    return mode if bug == NONE else f"{mode} {bug}"


def observations(run: Run, issue: str, mode: str, bug: str) -> list[Observation]:
    """What each trial of an arm noted of an issue, in the order of the trials."""
    trials = run.trials.loc[(run.trials["proxy"] == mode) & (run.trials["bug"] == bug), "trial"]
    notes = _notes(run)
    by_trial = {
        trial: detail
        for trial, detail in zip(notes["trial"], notes["detail"], strict=True)
        if detail.get("issue") == issue
    }
    return [by_trial[trial] for trial in trials if trial in by_trial]


def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, issues_attempted, issues_shown."""
    rows = [
        {
            "trial": trial,
            "issues_attempted": sum(1 for detail in group["detail"] if detail["attempts"]),
            "issues_shown": sum(1 for detail in group["detail"] if detail["shown"]),
        }
        for trial, group in _notes(run).groupby("trial", sort=True)
    ]
    return pd.DataFrame(rows, columns=["trial", "issues_attempted", "issues_shown"])


def _notes(run: Run) -> pd.DataFrame:
    return run.events[(run.events["source"] == "trial") & (run.events["kind"] == NOTE)]


def _finding(issue: Issue, arm: tuple[str, str], judgement: Judgement) -> Finding:
    return Finding(
        question=f"#{issue.number}: {issue.says}",
        hypothesis=_hypothesis(issue),
        verdict=judgement.verdict,
        figures=judgement.figures,
        answer=judgement.answer,
        name=issue.name,
        arm=label(*arm),
        p_value=judgement.p_value,
    )


def _hypothesis(issue: Issue) -> str:
    return (
        f"Reported as kubernetes #{issue.number}. Provoked: {issue.provoked}. It is seen if "
        f"{issue.shown_if}; the unit is {issue.unit}."
    )


def _over_arms(issue: Issue, judged: Mapping[tuple[str, str], Judgement]) -> Finding:
    """Whether it is still to be seen somewhere without a switch; the answer names every arm."""
    own = [one.verdict for (_, bug), one in judged.items() if bug == NONE]
    if "holds" in own:
        verdict: Verdict = "holds"
    else:
        verdict = "does not hold" if own and set(own) == {"does not hold"} else "undecided"
    parts = [
        f"{word} in {', '.join(where)}"
        for each, word in WORDS.items()
        if (where := [label(*arm) for arm, one in judged.items() if one.verdict == each])
    ]
    text = "; ".join(parts)
    return Finding(
        question=f"#{issue.number}: {issue.says}",
        hypothesis=_hypothesis(issue),
        verdict=verdict,
        figures={
            "arms_reproduced": own.count("holds"),
            "arms_not_reproduced": own.count("does not hold"),
            "arms_undecided": own.count("undecided"),
        },
        answer=f"{text[:1].upper()}{text[1:]}.",
        name=issue.name,
        confirmatory=False,
    )
