"""How observations become verdicts: what must always be so, and what is so on average."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from testbed.analysis.equivalence import ALPHA, Decision, Equivalence, decided, equivalence
from testbed.analysis.intervals import FEWEST_FOR_INTERVAL, over_trials
from testbed.claims.claim import Judge, Judgement, Observation


def saw(tried: int, agreed: int, exception: str = "", **figures: Any) -> Observation:
    """An observation of something that must always be so: how often it was tried, how often it was so, and
    in words one time that it was not.
    """
    return {"tried": tried, "agreed": agreed, "exception": exception, **figures}


def always(observations: Sequence[Observation], mode: str) -> Judgement:
    """Holds where every attempt of every trial agreed; one that did not refutes it.

    The bound on the rest is over trials, as attempts within one depend on one another: with 0 exceptions
    in t trials at most 1 - 0.05^(1/t) of all trials would show one (the exact form of the rule of three).
    """
    tried = sum(one["tried"] for one in observations)
    agreed = sum(one["agreed"] for one in observations)
    trials = sum(1 for one in observations if one["tried"])
    figures: dict[str, Any] = {"trials": trials, "tried": tried, "agreed": agreed}
    figures |= typical(observations)
    if not tried:
        why = next((one["exception"] for one in observations if one["exception"]), "")
        return Judgement("undecided", why or "Nothing of it could be observed.", figures)
    if agreed < tried:
        exception = next(one["exception"] for one in observations if one["agreed"] < one["tried"])
        said = f"{tried - agreed} of {tried} attempts say otherwise: {exception}"
        return Judgement("does not hold", _sentence(said, observations), figures)
    bound = exception_bound(trials)
    figures["exceptions_at_most"] = bound
    said = f"So in all {tried} attempts of {count(trials, 'trial')}"
    if trials >= FEWEST_FOR_INTERVAL:
        said += f"; at most {bound:.0%} of trials would show an exception (95 % confidence)"
    return Judgement("holds", _sentence(said, observations), figures)


def mostly(share: float) -> Judge:
    """Holds where in every trial at least this share of the attempts agreed: a few may meet a busy machine."""

    def judge(observations: Sequence[Observation], mode: str) -> Judgement:
        judged = always(observations, mode)
        shares = [one["agreed"] / one["tried"] for one in observations if one["tried"]]
        if judged.verdict != "does not hold" or min(shares) < share:
            return judged
        figures = {**judged.figures, "agreed_share": min(shares)}
        said = f"So in at least {min(shares):.0%} of the attempts of each of {count(len(shares), 'trial')}"
        return Judgement("holds", _sentence(said, observations), figures)

    return judge


def exception_bound(trials: int) -> float:
    """The largest share of trials with an exception that still shows none in so many, at 95 %."""
    return float(1 - ALPHA ** (1 / trials))


def count(number: int, what: str) -> str:
    """`1 trial`, `5 trials`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def typical(observations: Sequence[Observation]) -> dict[str, float]:
    """The mean over trials of every figure with a unit in its name."""
    names = {name for one in observations for name in one if name.endswith(UNITS)}
    found = {}
    for name in sorted(names):
        values = [float(one[name]) for one in observations if one.get(name) is not None]
        if values:
            found[name] = sum(values) / len(values)
    return found


UNITS = ("_ms", "_us", "_share", "_chance")


def _sentence(said: str, observations: Sequence[Observation]) -> str:
    remarks = [one["remark"] for one in observations if one.get("remark")]
    return f"{said}. {remarks[0]}" if remarks else f"{said}."


def weighed(
    tests: Sequence[Equivalence],
    said: str,
    figures: dict[str, Any],
    *,
    needs: str,
    inside_holds: bool = True,
) -> Judgement:
    """The verdict of equivalence tests; what is undecided says what it needs.

    `inside_holds` False: the claim is that there is a difference, so being within the margin refutes it.
    """
    answer: Decision = decided(tests)
    verdict = answer.verdict
    if not inside_holds and verdict != "undecided":
        verdict = "does not hold" if verdict == "holds" else "holds"
    if verdict == "undecided":
        said += f"; {power(min((test.n for test in tests), default=0), needs)}"
    return Judgement(verdict, f"{said}.", figures, answer.p_value)


def power(trials: int, needs: str) -> str:
    """Why so few trials show nothing."""
    if trials < FEWEST_FOR_INTERVAL:
        return f"{count(trials, 'trial')} cannot decide, at least {FEWEST_FOR_INTERVAL} are needed"
    return f"not decided: {needs}"


def on_average(
    values: Sequence[float], target: float, margin: float
) -> tuple[Equivalence, dict[str, Any]]:
    """The test of one number per trial against a target, and its figures."""
    known = [value for value in values if not math.isnan(value)]
    interval = over_trials(known)
    test = equivalence(known, target, margin)
    figures = {
        "trials": test.n,
        "mean": test.estimate,
        "ci95_low": interval.low,
        "ci95_high": interval.high,
        "target": target,
        "margin": margin,
        "p_inside": test.p_inside,
        "p_outside": test.p_outside,
    }
    return test, figures
