"""From the notes of a run's trials to its findings: one per claim and mode, and one per claim. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd

from testbed.analysis.run import Finding, Run, Verdict
from testbed.claims.claim import Claim, Judgement, Observation, Source
from testbed.claims.conduct import NOTE
from testbed.claims.register import CLAIMS

SPEAKERS: Mapping[Source, str] = {
    "tutorial": "tutorials",
    "answer": "answers in forums",
    "documentation": "Kubernetes' documentation",
}
NETWORK = "network"
"""The factor."""
ONLY_RANDOM = "only-iptables-random"
RANDOM = "random-pick"


def findings(run: Run) -> list[Finding]:
    """Every claim that was observed, in each mode; where there are several modes, over all of them too. Of
    several pod networks each by itself: its name is then part of an answer's arm.
    """
    if NETWORK not in run.varied:
        return _findings(run)
    return [
        replace(one, arm=f"{network}, {one.arm}" if one.arm else network)
        for network in map(str, run.meta["factors"][NETWORK])
        for one in _findings(run.only(run.trials.loc[run.trials[NETWORK] == network, "trial"]))
    ]


def _findings(run: Run) -> list[Finding]:
    modes = [mode for mode in run.meta["factors"]["proxy"] if mode in set(run.trials["proxy"])]
    found: list[Finding] = []
    judged: dict[str, dict[str, Judgement]] = {}
    for claim in CLAIMS:
        for mode in modes:
            observed = observations(run, claim.name, mode)
            if observed:
                judgement = claim.judge(observed, mode)
                judged.setdefault(claim.name, {})[mode] = judgement
                found.append(finding(claim, mode, judgement))
        if len(judged.get(claim.name, {})) > 1:
            found.append(over_modes(claim, judged[claim.name]))
        if claim.name == RANDOM and len(judged.get(RANDOM, {})) > 1:
            found.append(only_random(judged[RANDOM]))
    return found


def observations(run: Run, claim: str, mode: str) -> list[Observation]:
    """What each trial of a mode noted of a claim, in the order of the trials."""
    trials = run.trials.loc[run.trials["proxy"] == mode, "trial"]
    notes = run.events[(run.events["source"] == "trial") & (run.events["kind"] == NOTE)]
    by_trial = {
        trial: detail
        for trial, detail in zip(notes["trial"], notes["detail"], strict=True)
        if detail.get("claim") == claim
    }
    return [by_trial[trial] for trial in trials if trial in by_trial]


def finding(claim: Claim, mode: str, judgement: Judgement) -> Finding:
    """A judgement as the report and `testbed run` have it."""
    return Finding(
        question=claim.says,
        hypothesis=f"Said by {SPEAKERS[claim.source]}. It holds if {claim.holds_if}.",
        verdict=judgement.verdict,
        figures=judgement.figures,
        answer=judgement.answer,
        name=claim.name,
        arm=mode,
        p_value=judgement.p_value,
    )


def over_modes(claim: Claim, judged: Mapping[str, Judgement]) -> Finding:
    """Whether a claim holds whatever the mode: one in which it does not refutes it."""
    verdict, p_value = overall(judged.values())
    return Finding(
        question=claim.says,
        hypothesis=f"Said by {SPEAKERS[claim.source]}. It holds if {claim.holds_if}.",
        verdict=verdict,
        figures=_counts(judged),
        answer=_by_verdict(judged),
        name=claim.name,
        confirmatory=False,
        p_value=p_value,
    )


def overall(judged: Iterable[Judgement]) -> tuple[Verdict, float | None]:
    """The verdict on all together, and the p-value that it stands on: of the worst where all hold."""
    by_verdict: dict[Verdict, list[float | None]] = {}
    for one in judged:
        by_verdict.setdefault(one.verdict, []).append(one.p_value)
    for verdict in _STRONGEST_FIRST:
        if verdict in by_verdict:
            values = by_verdict[verdict]
            known = [p for p in values if p is not None]
            if verdict == "holds":
                return verdict, max(known, default=None)
            return verdict, min(known) if len(known) == len(values) else None
    return "undecided", None


_STRONGEST_FIRST: tuple[Verdict, ...] = ("does not hold", "undecided", "holds")


def only_random(judged: Mapping[str, Judgement]) -> Finding:
    """ "iptables picks at random and is the only mode that does": another mode that does refutes it."""
    own = [one for mode, one in judged.items() if mode.startswith("iptables")]
    others = [
        replace(one, verdict=_OPPOSITE[one.verdict])
        for mode, one in judged.items()
        if not mode.startswith("iptables")
    ]
    verdict, p_value = overall([*own, *others])
    if not own or not others:
        verdict = "undecided"
    return Finding(
        question="iptables picks at random, and is the only mode that does.",
        hypothesis="It holds if every iptables mode of the run is shown to, and every other not to.",
        verdict=verdict,
        figures=_counts(judged),
        answer=f"A pick at random: {_by_verdict(judged)}",
        name=ONLY_RANDOM,
        confirmatory=False,
        p_value=p_value,
    )


_OPPOSITE: Mapping[Verdict, Verdict] = {
    "holds": "does not hold",
    "does not hold": "holds",
    "undecided": "undecided",
}


def _counts(judged: Mapping[str, Judgement]) -> dict[str, int]:
    verdicts = [one.verdict for one in judged.values()]
    return {
        "modes_holding": verdicts.count("holds"),
        "modes_not_holding": verdicts.count("does not hold"),
        "modes_undecided": verdicts.count("undecided"),
    }


def _by_verdict(judged: Mapping[str, Judgement]) -> str:
    """`Holds in a, b; does not hold in c.`"""
    parts = []
    for verdict in ("holds", "does not hold", "undecided"):
        modes = [mode for mode, one in judged.items() if one.verdict == verdict]
        if modes:
            parts.append(f"{verdict} in {', '.join(modes)}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def metrics(run: Run) -> pd.DataFrame:
    """A row per trial: trial, claims_observed, claims_contradicted (an attempt said otherwise)."""
    notes = run.events[(run.events["source"] == "trial") & (run.events["kind"] == NOTE)]
    rows = [
        {
            "trial": trial,
            "claims_observed": len(group),
            "claims_contradicted": sum(
                detail.get("agreed", 0) < detail.get("tried", 0) for detail in group["detail"]
            ),
        }
        for trial, group in notes.groupby("trial", sort=True)
    ]
    return pd.DataFrame(rows, columns=["trial", "claims_observed", "claims_contradicted"])
