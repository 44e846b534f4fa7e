"""What a proxy has done so far, in kube-proxy's words, as a value. `exposition` writes it as text.

Source: pkg/proxy/metrics/metrics.go of Kubernetes 1.36 (names, buckets).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from testbed.command import Command

SYNC_BUCKETS_S = tuple(0.001 * 2**k for k in range(15))
PROGRAMMING_BUCKETS_S = (
    0.0,
    0.25,
    0.5,
    *(float(second) for second in range(1, 60)),
    *(float(second) for second in range(60, 120, 5)),
    *(float(second) for second in range(120, 301, 30)),
)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations by their upper bound; the last count is of those beyond all bounds."""

    bounds_s: tuple[float, ...]
    counts: tuple[int, ...]
    sum_s: float = 0.0

    @classmethod
    def of(cls, bounds_s: tuple[float, ...]) -> Histogram:
        """An empty one."""
        return cls(bounds_s, (0,) * (len(bounds_s) + 1))

    def observed(self, *durations_s: float) -> Histogram:
        """With more durations."""
        counts = list(self.counts)
        for duration_s in durations_s:
            counts[bisect_left(self.bounds_s, duration_s)] += 1
        return replace(self, counts=tuple(counts), sum_s=self.sum_s + sum(durations_s))

    @property
    def count(self) -> int:
        """How many durations."""
        return sum(self.counts)


_SYNCS = Histogram.of(SYNC_BUCKETS_S)
_PROGRAMMING = Histogram.of(PROGRAMMING_BUCKETS_S)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Since the proxy's start. Fields are kube-proxy's metrics without `kubeproxy_` and unit, those
    that differ by mode in one word: a sync that failed is a restore failure, or an nftables one.
    """

    sync_proxy_rules_duration: Histogram = _SYNCS
    sync_full_proxy_rules_duration: Histogram = _SYNCS
    sync_partial_proxy_rules_duration: Histogram = _SYNCS
    network_programming_duration: Histogram = _PROGRAMMING
    conntrack_reconciler_sync_duration: Histogram = _SYNCS
    conntrack_reconciler_deleted_entries_total: int = 0
    sync_failures_total: int = 0
    partial_sync_failures_total: int = 0
    endpoint_changes_pending: int = 0
    endpoint_changes_total: int = 0
    service_changes_pending: int = 0
    service_changes_total: int = 0
    last_queued_ns: int = 0
    last_sync_ns: int = 0
    """When rules were last in force; 0: never."""
    rules_last: tuple[tuple[str, int], ...] = ()
    """(table, rules that the last sync wrote), of the iptables family's tables."""

    def plus(self, **added: int) -> Metrics:
        """With some counters increased."""
        return replace(self, **{name: getattr(self, name) + n for name, n in added.items()})

    def heard(self, services: int, slices: int) -> Metrics:
        """After changes that the next sync takes."""
        return self.plus(
            service_changes_pending=services,
            service_changes_total=services,
            endpoint_changes_pending=slices,
            endpoint_changes_total=slices,
        )

    def took(self) -> Metrics:
        """A sync takes all changes so far."""
        return replace(self, service_changes_pending=0, endpoint_changes_pending=0)

    def synced(self, duration_s: float, *, full: bool) -> Metrics:
        """After a sync, failed or not."""
        every = self.sync_proxy_rules_duration.observed(duration_s)
        whole, part = self.sync_full_proxy_rules_duration, self.sync_partial_proxy_rules_duration
        return replace(
            self,
            sync_proxy_rules_duration=every,
            sync_full_proxy_rules_duration=whole.observed(duration_s) if full else whole,
            sync_partial_proxy_rules_duration=part if full else part.observed(duration_s),
        )

    def failed(self, *, full: bool) -> Metrics:
        """After a sync whose rules were refused."""
        return self.plus(sync_failures_total=1, partial_sync_failures_total=0 if full else 1)

    def programmed(self, end_ns: int, triggers_ns: Iterable[int]) -> Metrics:
        """After rules came into force that take in changes made at these instants."""
        durations_s = [(end_ns - trigger_ns) / 1e9 for trigger_ns in triggers_ns]
        programming = self.network_programming_duration.observed(*durations_s)
        return replace(self, last_sync_ns=end_ns, network_programming_duration=programming)

    def reconciled(self, duration_s: float, deleted: int) -> Metrics:
        """After a look for stale conntrack entries."""
        looks = self.conntrack_reconciler_sync_duration.observed(duration_s)
        return replace(self, conntrack_reconciler_sync_duration=looks).plus(
            conntrack_reconciler_deleted_entries_total=deleted
        )


def rules_written(commands: Sequence[Command]) -> tuple[tuple[str, int], ...]:
    """(table, number of rules) that iptables-restore commands append, of each table they name."""
    written: dict[str, int] = {}
    for command in commands:
        if "-restore" in command.argv[0]:
            text, start = command.stdin, command.stdin.find("*")
            while start >= 0:  # a large sync's text is megabytes: it is not copied
                end = text.find("\n*", start)
                table = text[start + 1 : text.index("\n", start)]
                rules = text.count("\n-A ", start, len(text) if end < 0 else end)
                written[table] = written.get(table, 0) + rules
                start = end if end < 0 else end + 1
    return tuple(sorted(written.items()))
