"""`prometheus [ADDRESS]`: counts queries and answers; the page /metrics.

Source: plugin/metrics/README.md, plugin/metrics/vars of CoreDNS.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from testbed.dns.corefile import Directive
from testbed.dns.directives import address, all_words, counted, longest_zone, options
from testbed.dns.metrics import CONTENT_TYPE, Labels, Metrics
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.sizes import reply_size
from testbed.dns.surroundings import Block, Made, Page
from testbed.dns.wire import rcode_text, type_text
from testbed.dns.zone_options import normal
from testbed.model.fields import words

_ADDRESS = ("localhost", 9153)
_TYPES = words("A AAAA CNAME MX NS PTR SOA SRV TXT ANY")
_VIEW = ""


def settings(directive: Directive, block_zones: tuple[str, ...]) -> tuple[str, int]:
    """Raises CorefileError."""
    options(directive, {})
    words = counted(all_words(directive), 0, 1)
    return address(words[0], _ADDRESS) if words else _ADDRESS


def make(settings: tuple[str, int], block: Block) -> Made:
    """Shows the page at once."""
    metrics = block.around.metrics
    block.around.pages.add(settings, "/metrics", lambda: Page(200, metrics.page(), CONTENT_TYPE))
    for zone in block.zones:
        for name in block.plugins:
            metrics.set("coredns_plugin_enabled", (block.server, f"{zone}.", _VIEW, name), 1)
    return Made(Prometheus(block, metrics))


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Counts at the answer. An answer that is given again, kept ready, takes no time that could be told."""

    block: Block
    metrics: Metrics
    name: str = "prometheus"

    def serve(self, query: Query, respond: Respond, next: Serve) -> None:
        loop = self.block.around.loop
        started_s = loop.now_s()

        def answered(reply: Reply) -> None:
            size = reply_size(query, reply)
            self._count(query, reply, loop.now_s() - started_s, size, 1)

            def again(times: int) -> None:
                self._count(query, reply, 0.0, size, times)

            respond(replace(reply, counted=again))

        next(query, answered)

    def _count(self, query: Query, reply: Reply, took_s: float, size: int, times: int) -> None:
        metrics, question = self.metrics, query.question
        zone = longest_zone(normal(question.name), self.block.zones) or ""
        labels = _labels(self.block.server, zone, query.tcp, ":" in query.client, question.type)
        where, by_proto, by_type = labels
        metrics.count("coredns_dns_requests_total", by_type, times)
        if query.dnssec_ok:
            metrics.count("coredns_dns_do_requests_total", where, times)
        metrics.observe("coredns_dns_request_duration_seconds", where, took_s, times)
        metrics.observe("coredns_dns_request_size_bytes", by_proto, query.size, times)
        metrics.observe("coredns_dns_response_size_bytes", by_proto, size, times)
        metrics.count("coredns_dns_responses_total", (*where, rcode_text(reply.rcode)), times)


@lru_cache(maxsize=1024)
def _labels(
    server: str, zone: str, tcp: bool, ipv6: bool, rtype: int
) -> tuple[Labels, Labels, Labels]:
    """Of a query: of where it came in, of that and its protocol, and of all that is told of it."""
    where = server, f"{zone}.", _VIEW
    by_proto = *where, "tcp" if tcp else "udp"
    kind = type_text(rtype)
    return where, by_proto, (*by_proto, "2" if ipv6 else "1", kind if kind in _TYPES else "other")
