"""Applying decisions that may be out of date."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.errors import NotFound
from testbed.store import AlreadyExists, Change, Conflict, Store, Write

_STALE = (Conflict, AlreadyExists, NotFound)
"""A write that these refuse was decided on a state that is no more."""


def apply_fresh(store: Store, writes: Sequence[Write]) -> int:
    """Apply writes in one transaction; where some are stale, those that are not, one by one.

    Returns the resourceVersion of the last change (0: nothing changed). Whatever made a write stale
    is itself a change, so whoever decided is told of it and decides anew.
    """
    changes: tuple[Change, ...] = ()
    try:
        changes = store.apply(writes)
    except _STALE:
        for write in writes:
            try:
                changes += store.apply([write])
            except _STALE:
                continue
    return changes[-1].resource_version if changes else 0
