"""How often each endpoint was picked, for whoever watches."""

from __future__ import annotations

from collections import Counter

from testbed.proxy.userspace_picks import PROTOCOLS, spelled_counts


class PickCounts:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str]] = Counter()

    def record(
        self, protocol: str, client: tuple[str, int], endpoint: str, own: tuple[str, int]
    ) -> None:
        """Count one connection."""
        self._counts[PROTOCOLS[protocol], endpoint] += 1

    def text(self) -> str:
        """See `userspace_picks.counts`."""
        return spelled_counts(self._counts)
