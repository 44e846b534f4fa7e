"""How late a node hears of changes: the fault `delay-watch`, in the words of tc-netem(8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Chance = Callable[[], float]
"""A random number from 0 up to, not including, 1."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """When one change arrives. It keeps its place behind those before it unless it overtakes."""

    delay_s: float
    overtakes: bool = False


@dataclass(frozen=True, slots=True)
class WatchDelay:
    """Each change is late by `delay_s`, give or take up to `jitter_s`, evenly spread.

    A watch is one connection: jitter alone changes no order. A share `reorder` of the changes
    overtakes: it arrives at once, before those that are under way.
    """

    delay_s: float
    jitter_s: float = 0.0
    reorder: float = 0.0

    def draw(self, chance: Chance) -> Arrival:
        """Of the next change; takes two numbers whatever they are, so that seeds stay comparable."""
        overtaking, place = chance(), chance()
        if overtaking < self.reorder:
            return Arrival(0.0, overtakes=True)
        return Arrival(max(0.0, self.delay_s + self.jitter_s * (2 * place - 1)))
