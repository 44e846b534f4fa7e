"""The pages of a proxy, by port and path."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service, ServicePort
from testbed.proxy.configz import configuration
from testbed.proxy.metrics import Metrics
from testbed.proxy.pace import Periods
from testbed.proxy.pages import (
    NodeStatus,
    Page,
    health_page,
    metrics_page,
    request_line,
    service_page,
)
from testbed.proxy.status import ProxierStatus
from testbed.proxy.table import ProxyConfig
from tests import addresses as a
from tests.unit.proxy.states import snapshot_with, table_of

LATE = ProxierStatus(4, "ipvs/lc", Metrics(last_sync_ns=1), oldest_pending_ns=1)
WELL = replace(LATE, oldest_pending_ns=None)
CONFIG = configuration("n1", "ipvs/lc", ProxyConfig("10.244.0.0/16"), Periods(0.1, 5.0))


NODE = Node(ObjectMeta("n1"))


def status(proxier: ProxierStatus = WELL, node: Node | None = NODE) -> NodeStatus:
    return NodeStatus((proxier,), node, 11 * 10**9, 0, 5.0, CONFIG)


PAGES = [
    ("metrics", metrics_page("/metrics", status()), 200, "kubeproxy_sync_proxy_rules_duration"),
    ("mode", metrics_page("/proxyMode", status()), 200, "ipvs"),
    ("options", metrics_page("/configz", status()), 200, '"scheduler": "lc"'),
    ("the metrics server itself", metrics_page("/healthz", status(LATE)), 200, "ok"),
    ("nothing", metrics_page("/", status()), 404, "not found"),
    ("healthy", health_page("/healthz", status()), 200, '"nodeEligible": true'),
    ("late", health_page("/healthz", status(LATE)), 503, '"healthy": false'),
    ("late, and so not live", health_page("/livez", status(LATE)), 503, '"healthy": false'),
    ("without its node", health_page("/healthz", status(node=None)), 503, '"nodeEligible": false'),
    ("live without its node", health_page("/livez", status(node=None)), 200, '"healthy": true'),
    ("no metrics here", health_page("/metrics", status()), 404, "not found"),
]


@pytest.mark.parametrize(
    ("page", "code", "text"), [row[1:] for row in PAGES], ids=[row[0] for row in PAGES]
)
def test_page(page: Page, code: int, text: str) -> None:
    assert page.status == code
    assert text in page.body


def test_a_page_as_http() -> None:
    page = Page(503, "né", headers=(("A", "b"),))
    head, _, body = page.encode().partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 503 Service Unavailable"
    assert {b"Content-Length: 3", b"A: b", b"Connection: close"} <= set(head.split(b"\r\n"))
    assert body.decode() == "né"
    assert page.encode(head_only=True) == head + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "/metrics")),
        (b"HEAD / HTTP/1.0\r\n\r\n", ("HEAD", "/")),
        (b"GET metrics HTTP/1.1\r\n\r\n", None),
        (b"GET /\r\n\r\n", None),
        (b"\x16\x03\x01\r\n\r\n", None),
    ],
)
def test_request_line(head: bytes, wanted: tuple[str, str] | None) -> None:
    assert request_line(head) == wanted


def test_a_service_that_is_no_longer_there_has_no_endpoint_here() -> None:
    service = Service(ObjectMeta("shop", "flows"), (ServicePort(80),), cluster_ips=(a.crowd_ip(1),))
    proxier = replace(WELL, table=table_of(snapshot_with([service])))
    page = service_page(("flows", "shop"), status(proxier))
    assert page.status == 503
    assert page.headers == (("X-Load-Balancing-Endpoint-Weight", "0"),)
    assert json.loads(page.body)["localEndpoints"] == 0


def test_options_are_kube_proxys() -> None:
    assert CONFIG["ipvs"] == {"syncPeriod": "5s", "minSyncPeriod": "0.1s", "scheduler": "lc"}
    assert (CONFIG["mode"], CONFIG["clusterCIDR"]) == ("ipvs", "10.244.0.0/16")
    other = configuration("n1", "iptables-nft", ProxyConfig(masquerade_all=True), Periods())
    assert other["iptables"]["masqueradeAll"] is True
