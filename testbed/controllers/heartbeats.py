"""When each node's kubelet was last heard of.

A kubelet renews its node's lease at fixed intervals. As both ends live in one process nothing is sent: the
instants of the renewals follow from when the kubelet began and ended, so that a healthy node costs nothing
and writes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_RENEWALS_PER_GRACE = 5
"""A node that misses fewer than this many in a row still counts as ready: 10 s of the default 50 s."""
_LONGEST_PERIOD_S = 10.0
"""kubelet's: a quarter of a lease of 40 s."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Renewals from `since_s` on, every `period_s`, until `until_s` (None: they go on)."""

    since_s: float
    period_s: float
    until_s: float | None = None
    before_s: float | None = None
    """The last renewal before a silence that ended with `since_s`."""

    def last_s(self, now_s: float) -> float:
        """When the last renewal was."""
        end_s = now_s if self.until_s is None else min(now_s, self.until_s)
        if self.before_s is not None and end_s < self.since_s:
            return self.before_s
        beats = max(0, int((end_s - self.since_s) // self.period_s))
        return self.since_s + beats * self.period_s


class Heartbeats:
    """The nodes whose kubelets have ever begun. `grace_s`: how long a silent node counts as ready."""

    def __init__(self, grace_s: float) -> None:
        self._period_s = min(_LONGEST_PERIOD_S, grace_s / _RENEWALS_PER_GRACE)
        self._pulses: dict[str, Pulse] = {}

    def begin(self, node: str, now_s: float) -> None:
        """Its kubelet has begun, and renews the lease at once."""
        self._pulses[node] = Pulse(now_s, self._period_s)

    def end(self, node: str, now_s: float) -> None:
        """Its kubelet has ended, or can no longer be heard."""
        pulse = self._pulses.get(node)
        if pulse is not None and pulse.until_s is None:
            self._pulses[node] = replace(pulse, until_s=now_s)

    def resume(self, node: str, now_s: float) -> float:
        """It can be heard again; returns when it next renews, which is in its old rhythm."""
        pulse = self._pulses.get(node)
        if pulse is None:
            self.begin(node, now_s)
            return now_s
        last_s, period_s = pulse.last_s(now_s), pulse.period_s
        if pulse.until_s is not None:
            beats = max(0, math.ceil((now_s - pulse.since_s) / period_s))
            pulse = Pulse(pulse.since_s + beats * period_s, period_s, before_s=last_s)
            self._pulses[node] = pulse
        return pulse.since_s if pulse.since_s > now_s else last_s + period_s

    def last_s(self, node: str, now_s: float) -> float | None:
        """When it was last heard of; None: it never was, and nobody waits for it."""
        pulse = self._pulses.get(node)
        return None if pulse is None else pulse.last_s(now_s)
