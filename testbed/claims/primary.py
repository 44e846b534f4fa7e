"""The numbers that verdicts on averages are about, and what is expected of them before a run. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testbed.analysis.arms import arms
from testbed.analysis.power import share_spread
from testbed.analysis.run import Run
from testbed.claims import busy, picking
from testbed.claims.claim import Observation
from testbed.claims.findings import observations
from testbed.experiment.primary import Pilot, Primary

THIRD = "a-third-each"
RANDOM = "random-pick"
BUSY = "busy-pod-gets-less"
CONNECTIONS_RPS = 3_000.0
"""What three clients make together, one connection after the other, on two CPUs: only a guess."""
BACKENDS = 3


def primaries(run: Run) -> list[Primary]:
    """The shares of three backends, the entropy of the next pick, and the busy pod's share, arm by arm."""
    found = []
    for arm in arms(run):
        part = run.only(list(arm.trials))
        mode = str(arm.factors["proxy"])
        for name, values in _values(part, mode).items():
            claim, _, detail = name.partition(" ")
            level = 1.0 if claim == RANDOM else 1 / BACKENDS
            found.append(Primary(claim, arm.factors, values, detail=detail, level=level))
    return found


def _values(run: Run, mode: str) -> Mapping[str, tuple[float, ...]]:
    """One number per trial, by claim and, where there are several, what it is of."""

    def of(claim: str) -> Sequence[Observation]:
        return observations(run, claim, mode)

    shares = [one["shares"] for one in of(THIRD)]
    found = {
        f"{THIRD} backend {number}": tuple(float(share) for share in column)
        for number, column in enumerate(zip(*shares, strict=True))
    }
    found[RANDOM] = tuple(picking.entropy_ratio(one) for one in of(RANDOM))
    slow = (one["slow_share"] for one in of(BUSY))
    found[BUSY] = tuple(float(share) for share in slow if share is not None)
    return {name: values for name, values in found.items() if values}


def pilots(claims: Sequence[str], duration_s: float) -> tuple[Pilot, ...]:
    """A mode that picks at random and notices nothing."""
    picks = round(CONNECTIONS_RPS * duration_s)
    busy_picks = round(busy.RATE_RPS * busy.DURATION_S)
    found = (
        Pilot(
            THIRD,
            picking.SHARE_MARGIN,
            share_spread(1 / BACKENDS, picks),
            together=BACKENDS,
            picks=picks,
        ),
        Pilot(BUSY, busy.MARGIN, share_spread(1 / BACKENDS, busy_picks), picks=busy_picks),
    )
    return tuple(pilot for pilot in found if pilot.name in claims)
