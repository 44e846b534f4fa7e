"""A DNS server's metrics under CoreDNS's names: counted here, shown as Prometheus' text.

Source: plugin/metrics/vars, plugin/cache/metrics.go, plugin/forward/metrics.go, plugin/pkg/proxy/metrics.go,
plugin/kubernetes/metrics.go and plugin/health/overloaded.go of CoreDNS 1.12.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = tuple(0.00025 * 2**n for n in range(16))  # 0.25 ms to 8 s
_PROXY_SECONDS = tuple(0.00025 * 2**n for n in range(16))
_PROGRAMMING = tuple(0.001 * 2**n for n in range(20))  # 1 ms to 524 s
_BYTES = (
    0.0,
    100.0,
    200.0,
    300.0,
    400.0,
    511.0,
    1023.0,
    2047.0,
    4095.0,
    8291.0,
    16e3,
    32e3,
    48e3,
    64e3,
)

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    text: str
    labels: str
    bounds: tuple[float, ...] = ()
    """Of a histogram."""
    gauge: bool = False


KINDS: dict[str, _Kind] = {
    "coredns_build_info": _Kind("What serves", "version revision goversion", gauge=True),
    "coredns_panics_total": _Kind("Mistakes of ours that cost a query, and not the server", ""),
    "coredns_plugin_enabled": _Kind("Plug-ins in use", "server zone view name", gauge=True),
    "coredns_dns_requests_total": _Kind(
        "Queries per zone, protocol and family", "server zone view proto family type"
    ),
    "coredns_dns_do_requests_total": _Kind("Queries with the DO bit", "server zone view"),
    "coredns_dns_request_duration_seconds": _Kind(
        "Time that queries took", "server zone view", _SECONDS
    ),
    "coredns_dns_request_size_bytes": _Kind("Size of queries", "server zone view proto", _BYTES),
    "coredns_dns_response_size_bytes": _Kind("Size of answers", "server zone view proto", _BYTES),
    "coredns_dns_responses_total": _Kind("Answers per rcode", "server zone view rcode"),
    "coredns_cache_entries": _Kind("Answers in the cache", "server type zones view", gauge=True),
    "coredns_cache_requests_total": _Kind("Queries to the cache", "server zones view"),
    "coredns_cache_hits_total": _Kind("Answers from the cache", "server type zones view"),
    "coredns_cache_misses_total": _Kind("Queries that the cache passed on", "server zones view"),
    "coredns_cache_prefetch_total": _Kind(
        "Answers fetched before they expired", "server zones view"
    ),
    "coredns_cache_served_stale_total": _Kind("Expired answers given", "server zones view"),
    "coredns_cache_evictions_total": _Kind("Answers that made room", "server type zones view"),
    "coredns_forward_max_concurrent_rejects_total": _Kind(
        "Queries refused, as too many were waiting", ""
    ),
    "coredns_forward_healthcheck_broken_total": _Kind(
        "Queries sent while no upstream was well", ""
    ),
    "coredns_proxy_request_duration_seconds": _Kind(
        "Time that upstreams took", "proxy_name to rcode", _PROXY_SECONDS
    ),
    "coredns_proxy_healthcheck_failures_total": _Kind("Failed health checks", "proxy_name to"),
    "coredns_proxy_conn_cache_hits_total": _Kind("Connections used again", "proxy_name to proto"),
    "coredns_proxy_conn_cache_misses_total": _Kind("Connections made", "proxy_name to proto"),
    "coredns_kubernetes_dns_programming_duration_seconds": _Kind(
        "From the change of an endpoint to its names", "service_kind", _PROGRAMMING
    ),
    "coredns_autopath_success_total": _Kind("Queries that autopath answered", "server"),
    "coredns_hosts_entries": _Kind("Entries of hosts files", "", gauge=True),
    "coredns_reload_failed_total": _Kind("Corefiles that were no good", ""),
}


class Metrics:
    """Of one server process. They outlive a reload of its Corefile, as CoreDNS's do."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {name: {} for name in KINDS}
        self._histograms: dict[str, dict[Labels, list[float]]] = {
            name: {} for name, kind in KINDS.items() if kind.bounds
        }
        self.before: dict[object, Callable[[], None]] = {}
        """Called before they are shown: who counts elsewhere hands in what it has."""

    def count(self, name: str, labels: Labels = (), by: float = 1) -> None:
        """Add to a counter."""
        values = self._values[name]
        values[labels] = values.get(labels, 0) + by

    def set(self, name: str, labels: Labels, value: float) -> None:
        """Of a gauge."""
        self._values[name][labels] = value

    def forget(self, name: str) -> None:
        """Drop all values of a gauge."""
        self._values[name].clear()

    def observe(self, name: str, labels: Labels, value: float, times: int = 1) -> None:
        """Add to a histogram."""
        bounds = KINDS[name].bounds
        found = self._histograms[name].get(labels)
        if found is None:  # a count for each bucket, the last without a bound, and the sum
            found = self._histograms[name][labels] = [0.0] * (len(bounds) + 2)
        found[bisect_left(bounds, value)] += times
        found[-1] += value * times

    def value(self, name: str, labels: Labels = ()) -> float:
        """Of a counter or gauge; of a histogram, how many there were."""
        if KINDS[name].bounds:
            return sum(self._histograms[name].get(labels, [0.0])[:-1])
        return self._values[name].get(labels, 0.0)

    def collect(self) -> Iterator[Family]:
        """The metric families (prometheus_client's Collector)."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for name, kind in KINDS.items():
            labels = kind.labels.split()
            if kind.bounds:
                histogram = HistogramMetricFamily(name, kind.text, labels=labels)
                for key, counts in self._histograms[name].items():
                    histogram.add_metric(key, _buckets(kind.bounds, counts[:-1]), counts[-1])
                yield histogram
                continue
            plain = (GaugeMetricFamily if kind.gauge else CounterMetricFamily)(
                name, kind.text, labels=labels
            )
            for key, value in self._values[name].items():
                plain.add_metric(key, value)
            yield plain

    def page(self) -> bytes:
        """/metrics."""
        from prometheus_client import CollectorRegistry  # nobody may ever ask
        from prometheus_client.exposition import generate_latest

        for hand_in in tuple(self.before.values()):
            hand_in()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)


def _buckets(bounds: tuple[float, ...], counts: list[float]) -> list[tuple[str, float]]:
    """(upper bound, how many up to it): each bucket holds those before it."""
    texts = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    return list(zip(texts, accumulate(counts), strict=True))
