"""What a server does for everybody else when one client sends more than it can answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

_ANSWERED_SHARE = 4
"""Of a burst out of a long queue one in so many is answered: to read one and throw it away costs a fraction of
an answer, so that the queue is soon short again."""
_REMEMBERED_S = 10.0
"""How long one is kept in mind: twice the patience of a libc, which asks again then."""
_ENOUGH = 100  # senders to keep in mind


class Senders:
    """Who has sent lately, while queues were long: one who is alone takes nothing from anybody."""

    def __init__(self) -> None:
        self._since_s = 0.0
        self._now: set[Hashable] = set()
        self._before: set[Hashable] = set()

    def are_several(self, senders: Iterable[Hashable], now_s: float) -> bool:
        """Whether there are others, in this burst or in those before it."""
        if now_s - self._since_s > _REMEMBERED_S:
            self._since_s = now_s
            self._now, self._before = set(), self._now
        if len(self._now) < _ENOUGH:
            self._now.update(senders)
        return len(self._now | self._before) > 1


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
