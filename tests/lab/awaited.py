"""Looks until what is looked for is seen: not all that becomes of a lab is in its event log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

Seen = TypeVar("Seen")
PATIENCE_S = 300.0
"""A busy machine's, and less than a test may take."""
_LOOK_S = 0.1


def awaited(look: Callable[[], Seen], holds: Callable[[Seen], Any] = bool) -> Seen:
    """The first that is seen of which it holds; a failure has what was seen last."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds(seen := look()):
        assert time.monotonic() < deadline_s, seen
        time.sleep(_LOOK_S)
    return seen
