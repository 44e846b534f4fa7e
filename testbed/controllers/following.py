"""A `reconcile` that is asked again and again: each time it looks only at what may have to change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from testbed.controllers.decision import Decision, Reconcile
from testbed.store import Snapshot, Write

K = TypeVar("K", bound=tuple[str, ...])

EMPTY = Snapshot(0, {})
"""The state before there was any: all that exists follows from it."""


def following(
    touched: Callable[[Snapshot, Snapshot], set[K]],
    decide: Callable[[Snapshot, K, float], Decision],
) -> Reconcile:
    """Remembers the state it was asked about last, and what was left to do then.

    `touched(then, now)` are the keys of what must be looked at again; `decide(snapshot, key, now_s)` looks at
    one.
    """
    then = EMPTY
    unsettled: set[K] = set()
    wakes: dict[K, float] = {}

    def reconcile(now: Snapshot, now_s: float) -> Decision:
        nonlocal then
        due = {key for key, wake_at_s in wakes.items() if wake_at_s <= now_s}
        keys = sorted(touched(then, now) | unsettled | due)
        then = now
        writes: list[Write] = []
        for key in keys:
            found, wake_at_s = decide(now, key, now_s)
            writes += found
            # Whether a write succeeds is not known here: until there is none to make, it is asked again.
            (unsettled.add if found else unsettled.discard)(key)
            wakes.pop(key, None)
            if wake_at_s is not None:
                wakes[key] = wake_at_s
        return writes, min(wakes.values(), default=None)

    return reconcile
