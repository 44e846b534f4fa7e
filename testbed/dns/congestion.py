"""What a server does for everybody else when one client sends more than it can answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

_ANSWERED_SHARE = 4
"""Of a burst that comes while the socket's buffer fills up, one in so many is answered: reading one and
throwing it away costs a fraction of an answer, and the buffer empties."""


def admitted(senders: Sequence[Hashable]) -> set[int]:
    """Which datagrams of a burst are answered: all of those who sent few, the rest of the room shared alike.

    `senders`: of every datagram in turn. The one who sent most does not get less than the others.
    """
    room = max(1, len(senders) // _ANSWERED_SHARE)
    counts = Counter(senders)
    share = _share(sorted(counts.values()), room)
    taken: Counter[Hashable] = Counter()
    chosen = set()
    for number, sender in enumerate(senders):
        if taken[sender] < share:
            taken[sender] += 1
            chosen.add(number)
    return chosen


def _share(counts: Sequence[int], room: int) -> int:
    """The most that anybody gets, so that together it fits the room; everybody gets one."""
    left = room
    for number, count in enumerate(counts):
        each = left // (len(counts) - number)
        if count > each:
            return max(1, each)
        left -= count
    return max(counts)
