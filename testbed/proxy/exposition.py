"""A proxy's metrics in Prometheus' text form, under kube-proxy's names and labels.

Each mode publishes what kube-proxy publishes in it. Its two nfacct counters are left out: the rules
here count packets nowhere. Source: pkg/proxy/metrics/metrics.go of Kubernetes 1.36.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest

from testbed.proxy.metrics import Histogram
from testbed.proxy.status import Probes, ProxierStatus, proxy_mode
from testbed.proxy.table import ForwardingTable

_DURATIONS = {
    "sync_proxy_rules_duration_seconds": "SyncProxyRules latency",
    "network_programming_duration_seconds": "From the write of a slice to its rules in force",
    "conntrack_reconciler_sync_duration_seconds": "Looks for stale conntrack entries",
}
_KINDS_OF_SYNC = {
    "sync_full_proxy_rules_duration_seconds": "SyncProxyRules latency of full syncs",
    "sync_partial_proxy_rules_duration_seconds": "SyncProxyRules latency of partial syncs",
}
_TIMESTAMPS = {
    "sync_proxy_rules_last_timestamp_seconds": ("last_sync_ns", "When rules last came into force"),
    "sync_proxy_rules_last_queued_timestamp_seconds": (
        "last_queued_ns",
        "When a sync was last queued",
    ),
}
_CHANGES = {
    "service_changes": "Service changes",
    "endpoint_changes": "Endpoint changes",
}
_RESTORE_FAILURES = (
    "sync_proxy_rules_iptables_restore_failures_total",
    "iptables restores that failed",
    "sync_failures_total",
)
_FAILURES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "iptables": (
        _RESTORE_FAILURES,
        (
            "sync_proxy_rules_iptables_partial_restore_failures_total",
            "partial iptables restores that failed",
            "partial_sync_failures_total",
        ),
    ),
    "ipvs": (_RESTORE_FAILURES,),
    "nftables": (
        (
            "sync_proxy_rules_nftables_sync_failures_total",
            "nftables transactions that failed",
            "sync_failures_total",
        ),
    ),
}
"""Mode -> (metric, help, field)."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeMetrics:
    """All that a node's proxy publishes. `unix_offset_ns` turns its clock into Unix time."""

    proxiers: tuple[ProxierStatus, ...]
    unix_offset_ns: int
    healthz: Probes = field(default_factory=dict)
    livez: Probes = field(default_factory=dict)

    def collect(self) -> Iterator[Metric]:
        """The metric families (prometheus_client's Collector)."""
        mode = proxy_mode(self.proxiers[0].mode)
        yield from self._durations(_DURATIONS)
        if mode in {"iptables", "nftables"}:
            yield from self._durations(_KINDS_OF_SYNC)
        for name, (attribute, text) in _TIMESTAMPS.items():
            yield self._timestamp(name, text, attribute)
        yield from self._changes()
        for name, text, attribute in _FAILURES.get(mode, ()):
            yield self._counter(name, text, attribute)
        if mode == "iptables":
            yield from self._rules()
        yield self._no_local_endpoints()
        yield self._counter(
            "conntrack_reconciler_deleted_entries_total",
            "Stale conntrack entries deleted",
            "conntrack_reconciler_deleted_entries_total",
        )
        for name, probes in (("proxy_healthz", self.healthz), ("proxy_livez", self.livez)):
            family = CounterMetricFamily(f"kubeproxy_{name}", f"Answers of {name}", labels=["code"])
            for code, count in sorted(probes.items()):
                family.add_metric([str(code)], count)
            yield family

    def _durations(self, names: Mapping[str, str]) -> Iterator[Metric]:
        for name, text in names.items():
            family = HistogramMetricFamily(f"kubeproxy_{name}", text, labels=["ip_family"])
            for one in self.proxiers:
                histogram: Histogram = getattr(one.metrics, name.removesuffix("_seconds"))
                family.add_metric([one.ip_family], _buckets(histogram), histogram.sum_s)
            yield family

    def _timestamp(self, name: str, text: str, attribute: str) -> Metric:
        family = GaugeMetricFamily(f"kubeproxy_{name}", text, labels=["ip_family"])
        for one in self.proxiers:
            t_ns: int = getattr(one.metrics, attribute)
            unix_s = (t_ns + self.unix_offset_ns) / 1e9 if t_ns else 0.0
            family.add_metric([one.ip_family], unix_s)
        return family

    def _counter(self, name: str, text: str, attribute: str) -> Metric:
        family = CounterMetricFamily(f"kubeproxy_{name}", text, labels=["ip_family"])
        for one in self.proxiers:
            family.add_metric([one.ip_family], getattr(one.metrics, attribute))
        return family

    def _changes(self) -> Iterator[Metric]:
        """Without a family, as in kube-proxy: a service counts once in each that hears of it."""
        for field_, text in _CHANGES.items():
            name = f"kubeproxy_sync_proxy_rules_{field_}"
            waiting = sum(getattr(one.metrics, f"{field_}_pending") for one in self.proxiers)
            total = sum(getattr(one.metrics, f"{field_}_total") for one in self.proxiers)
            yield GaugeMetricFamily(f"{name}_pending", f"{text} not yet synced", waiting)
            yield CounterMetricFamily(f"{name}_total", f"{text} so far", value=total)

    def _rules(self) -> Iterator[Metric]:
        total = GaugeMetricFamily(
            "kubeproxy_sync_proxy_rules_iptables_total",
            "Rules in force",
            labels=["ip_family", "table"],
        )
        last = GaugeMetricFamily(
            "kubeproxy_sync_proxy_rules_iptables_last",
            "Rules that the last sync wrote",
            labels=["ip_family", "table"],
        )
        for one in self.proxiers:
            for table, count in (one.rules.count() if one.rules else {}).items():
                total.add_metric([one.ip_family, table], count)
            for table, count in one.metrics.rules_last:
                last.add_metric([one.ip_family, table], count)
        yield from (total, last)

    def _no_local_endpoints(self) -> Metric:
        family = GaugeMetricFamily(
            "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
            "Services with a Local traffic policy and no endpoint on this node",
            labels=["ip_family", "traffic_policy"],
        )
        for one in self.proxiers:
            for policy, count in no_local_endpoints(one.table).items():
                family.add_metric([one.ip_family, policy], count)
        return family


def text(metrics: NodeMetrics) -> str:
    """The page /metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    return generate_latest(registry).decode()


def no_local_endpoints(table: ForwardingTable | None) -> dict[str, int]:
    """Traffic policy -> service ports with policy Local whose endpoints are all elsewhere."""
    lacking = [
        entry
        for entry in (table.ports if table else ())
        if entry.uses_local_endpoints and entry.has_endpoints and not entry.local_endpoints
    ]
    return {
        "internal": sum(1 for entry in lacking if entry.internal_local),
        "external": sum(
            1 for entry in lacking if entry.external_local and entry.externally_accessible
        ),
    }


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """(upper bound, durations up to it), as Prometheus wants them: each holds those before it."""
    bounds = [*(f"{bound:g}" for bound in histogram.bounds_s), "+Inf"]
    return [
        (bound, float(count))
        for bound, count in zip(bounds, accumulate(histogram.counts), strict=True)
    ]
