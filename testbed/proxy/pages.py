"""What a node's proxy answers over HTTP: the pages of its metrics port, its health port, and of its
services' health check node ports. Source: cmd/kube-proxy/app and pkg/proxy/healthcheck of Kubernetes
1.36.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from testbed.model.objects.nodes import Node
from testbed.proxy.health import (
    ProxyHealth,
    health_check_ports,
    proxy_health,
    ready_on_node,
    service_body,
)
from testbed.proxy.status import Probes, ProxierStatus, proxy_mode
from testbed.store import Key

METRICS_PORT = 10249
"""On 127.0.0.1 (--metrics-bind-address)."""
HEALTH_PORT = 10256
"""On every address (--healthz-bind-address)."""
WEIGHT_HEADER = "X-Load-Balancing-Endpoint-Weight"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: int
    body: str
    content_type: str = _JSON
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, head_only: bool = False) -> bytes:
        """HTTP/1.1, the connection's last."""
        body = self.body.encode()
        fields = [
            ("Content-Type", self.content_type),
            ("X-Content-Type-Options", "nosniff"),
            *self.headers,
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        head = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines = [*head, *(f"{name}: {value}" for name, value in fields), "", ""]
        return "\r\n".join(lines).encode() + (b"" if head_only else body)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What the pages are made from, at one instant. Times are CLOCK_MONOTONIC."""

    proxiers: tuple[ProxierStatus, ...]
    node: Node | None
    now_ns: int
    unix_offset_ns: int
    sync_period_s: float
    configuration: Mapping[str, Any]
    """kube-proxy's KubeProxyConfiguration as JSON values."""
    healthz: Probes = field(default_factory=dict)
    livez: Probes = field(default_factory=dict)

    @property
    def health(self) -> ProxyHealth:
        return proxy_health(self.proxiers, self.node, self.now_ns, self.sync_period_s)


NOT_FOUND = Page(404, "404 page not found\n", _PLAIN)
NOT_ALLOWED = Page(405, "Method Not Allowed\n", _PLAIN, (("Allow", "GET, HEAD"),))


def metrics_page(path: str, status: NodeStatus) -> Page:
    """A page of port 10249."""
    match path:
        case "/metrics":
            return Page(200, _metrics(status), _PROMETHEUS)
        case "/proxyMode":
            return Page(200, proxy_mode(status.proxiers[0].mode), _PLAIN)
        case "/configz":
            return Page(200, _json({"kubeproxy.config.k8s.io": status.configuration}))
        case "/healthz":  # of this port's server, not of the proxy
            return Page(200, "ok", _PLAIN)
    return NOT_FOUND


def health_page(path: str, status: NodeStatus) -> Page:
    """A page of port 10256."""
    health = status.health
    offset_ns = status.unix_offset_ns
    match path:
        case "/healthz":
            return Page(200 if health.ready else 503, _json(health.body(offset_ns, of_node=True)))
        case "/livez":
            return Page(200 if health.live else 503, _json(health.body(offset_ns, of_node=False)))
    return NOT_FOUND


def service_page(service: Key, status: NodeStatus) -> Page:
    """The answer, on any path, of a service's health check node port."""
    tables = [one.table for one in status.proxiers if one.table is not None]
    known = [table for table in tables if service in health_check_ports(table)]
    count = ready_on_node(known[0], service) if known else 0
    healthy = status.health.live
    return Page(
        200 if count and healthy else 503,
        _json(service_body(service, count, proxy_healthy=healthy)),
        headers=((WEIGHT_HEADER, str(count)),),
    )


def request_line(head: bytes) -> tuple[str, str] | None:
    """(method, path without query) of a request's head; None for what is not HTTP."""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        return None
    return words[0], words[1].partition("?")[0]


def _metrics(status: NodeStatus) -> str:
    # Its import takes as long as a small lab needs to come up, and most labs are never asked.
    from testbed.proxy.exposition import NodeMetrics, text

    proxiers, offset_ns = status.proxiers, status.unix_offset_ns
    return text(NodeMetrics(proxiers, offset_ns, status.healthz, status.livez))


def _json(value: Any) -> str:
    return json.dumps(value)
