"""When kube-proxy calls itself healthy, and what it tells a load balancer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service, ServicePort
from testbed.model.scheduling import NO_SCHEDULE, Taint
from testbed.proxy.health import (
    ABOUT_TO_GO_TAINT,
    health_check_addresses,
    health_check_ports,
    proxy_health,
    ready_on_node,
    rfc3339,
    service_body,
)
from testbed.proxy.metrics import Metrics
from testbed.proxy.status import ProxierStatus
from testbed.proxy.table import ProxyConfig
from tests import addresses as a
from tests.addresses import PLAN
from tests.unit.proxy.states import snapshot_with, table_of

NODE = Node(ObjectMeta("n1"))
SYNC_PERIOD_S = 30.0
NOW_NS = 1000 * 10**9
SYNCED = Metrics(last_sync_ns=900 * 10**9)


def proxier(
    family: int = 4, waits_s: float | None = None, metrics: Metrics = SYNCED
) -> ProxierStatus:
    """One whose oldest change has waited that long."""
    pending = None if waits_s is None else NOW_NS - round(waits_s * 1e9)
    return ProxierStatus(family, "nftables", metrics, oldest_pending_ns=pending)


ROWS = [
    ("idle", [proxier()], NODE, True, True),
    ("a change waits, not for long", [proxier(waits_s=59.9)], NODE, True, True),
    ("a change waits for two periods", [proxier(waits_s=60)], NODE, False, False),
    ("it only starts", [proxier(waits_s=600, metrics=Metrics())], NODE, True, True),
    ("one family is late", [proxier(), proxier(6, 61)], NODE, False, False),
    ("the node is gone", [proxier()], None, True, False),
    (
        "the node is being deleted",
        [proxier()],
        replace(NODE, meta=ObjectMeta("n1", deletion_s=1.0)),
        True,
        False,
    ),
    (
        "the autoscaler is about to remove the node",
        [proxier()],
        replace(NODE, taints=(Taint(ABOUT_TO_GO_TAINT, NO_SCHEDULE),)),
        True,
        False,
    ),
    ("another taint", [proxier()], replace(NODE, taints=(Taint("gpu", NO_SCHEDULE),)), True, True),
]


@pytest.mark.parametrize(
    ("proxiers", "node", "live", "ready"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_health(proxiers: list[ProxierStatus], node: Node | None, live: bool, ready: bool) -> None:
    health = proxy_health(proxiers, node, NOW_NS, SYNC_PERIOD_S)
    assert (health.live, health.ready) == (live, ready)


def test_the_page_of_a_healthy_proxy_is_recent_and_that_of_a_sick_one_says_since_when() -> None:
    well = proxy_health([proxier()], NODE, NOW_NS, SYNC_PERIOD_S).body(0, of_node=True)
    assert well == {
        "lastUpdated": "1970-01-01T00:16:40.000000000Z",
        "currentTime": "1970-01-01T00:16:40.000000000Z",
        "nodeEligible": True,
        "healthy": True,
        "status": {"IPv4": {"lastUpdated": "1970-01-01T00:15:00.000000000Z", "healthy": True}},
    }
    sick = proxy_health([proxier(waits_s=61)], NODE, NOW_NS, SYNC_PERIOD_S).body(0, of_node=False)
    assert sick["lastUpdated"] == sick["status"]["IPv4"]["lastUpdated"]
    assert sick["healthy"] is False
    assert "nodeEligible" not in sick


def test_times_are_utc_to_the_nanosecond() -> None:
    assert rfc3339(1_600_000_000_123_456_789) == "2020-09-13T12:26:40.123456789Z"


# Health check node ports

SERVICE = Service(
    ObjectMeta("shop", "flows"),
    (ServicePort(80, "http", node_port=30080), ServicePort(443, "https", node_port=30443)),
    type="LoadBalancer",
    cluster_ips=(a.crowd_ip(1),),
    external_traffic_policy="Local",
    health_check_node_port=32001,
)
HERE = Endpoint((PLAN.pods["web-0"],), node_name="n1")
ENDPOINTS = [
    ("one ready here", (HERE,), 1),
    ("one here, not ready", (replace(HERE, ready=False),), 0),
    ("one here, terminating", (replace(HERE, ready=False, terminating=True),), 0),
    ("one elsewhere", (replace(HERE, node_name="n2"),), 0),
    ("two here", (HERE, replace(HERE, addresses=(PLAN.pods["web-1"],))), 2),
]


@pytest.mark.parametrize(
    ("endpoints", "count"), [row[1:] for row in ENDPOINTS], ids=[row[0] for row in ENDPOINTS]
)
def test_only_ready_endpoints_of_the_node_count_and_each_address_once(
    endpoints: tuple[Endpoint, ...], count: int
) -> None:
    meta = ObjectMeta("shop-a", "flows", labels={SERVICE_NAME_LABEL: "shop"})
    ports = (EndpointPort(8080, "http"), EndpointPort(8443, "https"))
    table = table_of(snapshot_with([SERVICE, EndpointSlice(meta, endpoints, ports)]))
    assert health_check_ports(table) == {("flows", "shop"): 32001}
    assert ready_on_node(table, ("flows", "shop")) == count


ADDRESSES: list[tuple[str, ProxyConfig, str, tuple[str, ...]]] = [
    ("by default all", ProxyConfig(), "iptables-nft", ("",)),
    ("nftables: the first", ProxyConfig(), "nftables", ("172.18.0.2",)),
    ("nftables as documented: all", ProxyConfig(documented=True), "nftables", ("",)),
    ("named so", ProxyConfig(node_port_addresses=("primary",)), "ipvs/rr", ("172.18.0.2",)),
    (
        "by network",
        ProxyConfig(node_port_addresses=("10.9.0.0/16", "fd00::/8")),
        "ipvs/rr",
        ("10.9.0.1",),
    ),
    ("a network of all", ProxyConfig(node_port_addresses=("0.0.0.0/0",)), "nftables", ("",)),
]


@pytest.mark.parametrize(
    ("config", "mode", "wanted"), [row[1:] for row in ADDRESSES], ids=[row[0] for row in ADDRESSES]
)
def test_where_the_ports_are_open(config: ProxyConfig, mode: str, wanted: tuple[str, ...]) -> None:
    table = replace(
        table_of(snapshot_with([SERVICE])), config=config, node_ips=("172.18.0.2", "10.9.0.1")
    )
    assert health_check_addresses(table, mode) == wanted


def test_a_service_without_the_policy_has_no_port() -> None:
    table = table_of(snapshot_with([replace(SERVICE, external_traffic_policy="Cluster")]))
    assert health_check_ports(table) == {}


def test_what_the_load_balancer_reads() -> None:
    assert service_body(("flows", "shop"), 2, proxy_healthy=True) == {
        "service": {"namespace": "flows", "name": "shop"},
        "localEndpoints": 2,
        "serviceProxyHealthy": True,
    }
