"""From attempts to verdicts: reproduced, not reproduced with a bound on the rate, or too few. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testbed.analysis.intervals import over_trials, wilson
from testbed.claims.claim import Judgement, Observation
from testbed.claims.judging import count, exception_bound, typical
from testbed.issues.issue import Judge

MARGIN_TRIALS = 0.5
"""Of what a trial tries once: it is not reproduced if less than half of all trials can show it."""
MARGIN_ATTEMPTS = 0.01
"""Of what a trial tries many times over, by itself each: less than one attempt in a hundred."""


def once_a_trial(observations: Sequence[Observation], kernel: str) -> Judgement:
    """A trial is the unit: it shows the fault or it does not. One that does reproduces it."""
    tried = [one for one in observations if one["attempts"]]
    shown = sum(1 for one in tried if one["shown"])
    figures: dict[str, Any] = {"trials": len(tried), "shown": shown, **typical(tried)}
    if not tried:
        return Judgement("undecided", _why_not(observations), figures)
    low, high = wilson(shown, len(tried))
    bound = exception_bound(len(tried))
    if shown:
        figures |= {"rate": shown / len(tried), "ci95_low": low, "ci95_high": high}
        said = (
            f"Reproduced on {kernel} in {shown} of {count(len(tried), 'trial')} ({low:.0%} to "
            f"{high:.0%})"
        )
        return Judgement("holds", _sentence(said, tried), figures)
    figures |= {"rate": 0.0, "rate_below": bound, "margin": MARGIN_TRIALS}
    said = f"Not reproduced on {kernel} in {count(len(tried), 'trial')}"
    return _not_seen(said, tried, figures)


def many_a_trial(margin: float = MARGIN_ATTEMPTS) -> Judge:
    """An attempt is one of many in a trial; the rate is one number per trial, its interval over trials.

    Where none of n attempts showed it the rate is below 1 - 0.05^(1/n), about 3/n: they do not depend on
    one another, for none leaves anything behind that the next one meets.
    """

    def judge(observations: Sequence[Observation], kernel: str) -> Judgement:
        tried = [one for one in observations if one["attempts"]]
        attempts = sum(one["attempts"] for one in tried)
        shown = sum(one["shown"] for one in tried)
        figures: dict[str, Any] = {
            "trials": len(tried),
            "attempts": attempts,
            "shown": shown,
            **typical(tried),
        }
        if not tried:
            return Judgement("undecided", _why_not(observations), figures)
        if not shown:
            bound = exception_bound(attempts)
            figures |= {"rate": 0.0, "rate_below": bound, "margin": margin}
            many = f"{count(attempts, 'attempt')} of {count(len(tried), 'trial')}"
            return _not_seen(f"Not reproduced on {kernel} in {many}", tried, figures)
        rate = over_trials([one["shown"] / one["attempts"] for one in tried])
        figures |= {"rate": rate.estimate, "ci95_low": rate.low, "ci95_high": rate.high}
        said = (
            f"Reproduced on {kernel} in {shown} of {count(attempts, 'attempt')} of "
            f"{count(len(tried), 'trial')}, {rate.estimate:.2g} per attempt"
        )
        if rate.low is not None and rate.high is not None:
            said += f" ({max(0.0, rate.low):.2g} to {min(1.0, rate.high):.2g})"
        return Judgement("holds", _sentence(said, tried), figures)

    return judge


def _not_seen(said: str, tried: Sequence[Observation], figures: dict[str, Any]) -> Judgement:
    """Not reproduced is a result where the bound is below the margin; else there were too few attempts."""
    bound, margin = figures["rate_below"], figures["margin"]
    said += f", rate below {bound:.2g} (95 % confidence)"
    if bound <= margin:
        return Judgement("does not hold", _sentence(said, tried), figures)
    return Judgement(
        "undecided", _sentence(f"{said}: too few to say below {margin:g}", tried), figures
    )


def _why_not(observations: Sequence[Observation]) -> str:
    why = next((one["example"] for one in observations if one["example"]), "")
    return f"It could not be attempted: {why}." if why else "Nothing of it could be attempted."


def _sentence(said: str, tried: Sequence[Observation]) -> str:
    """What was found, with one time that it was seen, or else what was seen instead."""
    example = next((one["example"] for one in tried if one["shown"] and one["example"]), "")
    remark = next((one["remark"] for one in tried if one.get("remark")), "")
    return ". ".join(part.rstrip(".") for part in (said, example, remark) if part) + "."
