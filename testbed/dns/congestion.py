"""What a server does for everybody else when one client sends more than it can answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

_OF_THE_LEAST = 4
_OF_ALL = 8
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


def admitted(senders: Sequence[Hashable]) -> list[int]:
    """Which datagrams of a long queue are answered: of nobody more than four times as many as of the one who
    sent least, or an eighth of all; in their order.

    To read one and throw it away costs a fraction of an answer, so that the queue is soon short again; clients
    that are alike busy lose nothing. `senders`: of every datagram in turn.
    """
    counts = Counter(senders)
    least = min(counts.values()) if len(counts) > 1 else 0
    share = max(len(senders) // _OF_ALL, _OF_THE_LEAST * least)
    taken: Counter[Hashable] = Counter()
    chosen = []
    for number, sender in enumerate(senders):
        if taken[sender] < share:
            taken[sender] += 1
            chosen.append(number)
    return chosen
