"""When requests of an open loop arrive.

Plain Python: importing numpy in a fresh generator would take longer than drawing a minute's arrivals.
"""

from __future__ import annotations

from typing import Protocol


class Chance(Protocol):
    """A seeded source of chance, as `random.Random` is."""

    def expovariate(self, lambd: float, /) -> float: ...


def arrivals_ns(chance: Chance, kind: str, rate_rps: float, duration_s: float) -> list[int]:
    """Offsets from the start in nanoseconds, ascending, all within the duration.

    `poisson`: independent exponential gaps, so that no period of the system can hide behind the
    load's own. `constant`: 0, 1/rate, 2/rate, …
    """
    if kind == "constant":
        # Rounded: 100/s for 0.3 s are 30, whatever binary fractions make of it.
        count = max(1, round(rate_rps * duration_s))
        return [round(number / rate_rps * 1e9) for number in range(count)]
    times: list[int] = []
    now_s = chance.expovariate(rate_rps)
    while now_s < duration_s:
        times.append(round(now_s * 1e9))
        now_s += chance.expovariate(rate_rps)
    return times
