"""Many answers from one run: how often would chance alone have given one of them?

The one place where p-values are corrected; an experiment's findings say what their own test says.
Confirmatory ones are corrected after Holm, so that none of them is wrong in 19 of 20 runs, the
others after Benjamini and Hochberg, so that at most one in 20 of those that decide is.

Each finding could have been decided either way ("holds", "does not hold"), but of the two nulls one
is true; so Holm over the findings, each with the p-value of the side that it shows, keeps the error
(directional decisions: Shaffer 1980).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from testbed.analysis.equivalence import ALPHA
from testbed.analysis.intervals import benjamini_hochberg, holm
from testbed.analysis.run import Finding

Adjust = Callable[[Sequence[float]], list[float]]


def corrected(findings: Sequence[Finding], alpha: float = ALPHA) -> list[Finding]:
    """The findings, in their order, with `adjusted_p` and the verdict that is left.

    What is no longer shown becomes undecided, and its answer says so. Findings without a p-value
    involve no chance: they are left alone and count for nothing. Corrected ones come out unchanged.
    """
    done = list(findings)
    families: tuple[tuple[bool, str, Adjust], ...] = (
        (True, "Holm", holm),
        (False, "Benjamini-Hochberg", benjamini_hochberg),
    )
    for confirmatory, method, adjust in families:
        chosen = [
            (at, p)
            for at, one in enumerate(done)
            if one.confirmatory is confirmatory
            and one.adjusted_p is None
            and (p := one.p_value) is not None
        ]
        for (at, _), adjusted in zip(chosen, adjust([p for _, p in chosen]), strict=True):
            done[at] = _corrected(done[at], adjusted, f"{method} over {len(chosen)} answers", alpha)
    return done


def _corrected(finding: Finding, adjusted_p: float, how: str, alpha: float) -> Finding:
    finding = replace(finding, adjusted_p=adjusted_p)
    if finding.verdict == "undecided" or adjusted_p <= alpha:
        return finding
    said = (
        f"Alone this would be “{finding.verdict}” (p = {finding.p_value:.2g}); corrected for the "
        f"number of answers it is not shown (p = {adjusted_p:.2g}, {how})."
    )
    return replace(finding, verdict="undecided", answer=f"{finding.answer} {said}".strip())
