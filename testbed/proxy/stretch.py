"""Where two long tuples differ, told by identity: what did not change is the same object."""

from __future__ import annotations

from itertools import compress, count
from operator import is_not


def differing(old: tuple[object, ...], new: tuple[object, ...]) -> tuple[int, int, int]:
    """(start, end in old, end in new) of the stretch outside of which both are the same objects."""
    shorter = min(len(old), len(new))
    start = next(compress(count(), map(is_not, old, new)), shorter)
    tail = next(compress(count(), map(is_not, reversed(old), reversed(new))), shorter)
    tail = min(tail, shorter - start)
    return start, len(old) - tail, len(new) - tail
