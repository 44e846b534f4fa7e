"""What a controller is: a pure function of a snapshot, and what it wants to be called for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from testbed.model.objects.metadata import Object
from testbed.store import Snapshot, Write

Decision = tuple[list[Write], float | None]
"""The writes that bring the state closer to what it should be (none: it is), and when to ask again
although nothing has changed (`wake_at_s`; None: never)."""

Reconcile = Callable[[Snapshot, float], Decision]
"""`reconcile(snapshot, now_s)`: idempotent, knows nothing but its arguments."""


@dataclass(frozen=True, slots=True)
class Controller:
    """A reconcile function and the kinds whose changes it must see."""

    name: str
    watches: tuple[type[Object], ...]
    """What it reads and what it writes: it is not asked again before it has seen its own writes."""
    reconcile: Reconcile
    remembering: Callable[[], Reconcile] | None = None
    """Makes a `reconcile` that says the same and remembers what it was asked last, to save work."""
    prompt: bool = False
    """It acts on a change before others look at it: what it writes is waited for."""

    def begun(self) -> Controller:
        """The same for one who asks again and again."""
        return replace(self, reconcile=self.remembering()) if self.remembering else self
