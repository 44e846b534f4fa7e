"""When a proxy may sync: kube-proxy's BoundedFrequencyRunner as a value.

The first change after a pause runs at once; the next run waits until `min_sync_period_s` after the
end of the run before, and takes all changes that came meanwhile. A failed run is tried again after
`sync_period_s`, or with the next change. Source: pkg/proxy/runner/bounded_frequency_runner.go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Periods:
    """kube-proxy's options, in seconds. `max_interval_s` is the longest time without a run."""

    min_sync_period_s: float = 1.0
    sync_period_s: float = 30.0
    max_interval_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What has happened so far. Times are seconds of one clock."""

    periods: Periods
    queued_s: float | None = None
    """When the oldest change came that no run has taken; None: nothing waits."""
    ended_s: float | None = None
    failed: bool = False

    def queued(self, now_s: float) -> Pace:
        """After a change."""
        return self if self.queued_s is not None else replace(self, queued_s=now_s)

    def started(self) -> Pace:
        """After the start of a run: it takes all changes so far."""
        return replace(self, queued_s=None)

    def ended(self, now_s: float, *, failed: bool) -> Pace:
        """After the end of a run."""
        return replace(self, ended_s=now_s, failed=failed)

    def due_s(self) -> float | None:
        """When to run next; None: not before a change comes."""
        if self.ended_s is None:
            return self.queued_s
        if self.queued_s is not None:
            return max(self.queued_s, self.ended_s + self.periods.min_sync_period_s)
        wait_s = self.periods.sync_period_s if self.failed else self.periods.max_interval_s
        return self.ended_s + wait_s
