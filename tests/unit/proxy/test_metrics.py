"""What a proxy counts, and how it is written."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from testbed.command import Command
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service, ServicePort
from testbed.proxy.exposition import NodeMetrics, no_local_endpoints, text
from testbed.proxy.metrics import (
    PROGRAMMING_BUCKETS_S,
    SYNC_BUCKETS_S,
    Histogram,
    Metrics,
    rules_written,
)
from testbed.proxy.ruleset import Ruleset
from testbed.proxy.status import ProxierStatus, proxy_mode
from tests import addresses as a
from tests.addresses import PLAN
from tests.unit.proxy.states import snapshot_with, table_of

METRICS = (
    Metrics()
    .heard(1, 2)
    .took()
    .synced(0.003, full=True)
    .programmed(3_000_000_000, (2_500_000_000, 1_000_000_000))
    .heard(0, 1)
    .failed(full=False)
    .synced(0.5, full=False)
    .reconciled(0.001, 2)
)
RULES = Ruleset({"nat": {"A": ("-A A -j B", "-A A -j C")}, "filter": {"D": ("-A D -j E",)}})
OFFSET_NS = 10**18


def published(mode: str, *metrics: Metrics) -> dict[str, float]:
    """Every sample of the page as it is written: name{labels} -> value."""
    proxiers = tuple(
        ProxierStatus(family, mode, one, None, RULES)
        for family, one in zip((4, 6), metrics, strict=False)
    )
    page = text(NodeMetrics(proxiers, OFFSET_NS, {200: 3, 503: 1}, {200: 2}))
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sample.labels.items()): value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        for value in [sample.value]
    }


EVERYWHERE = {
    "sync_proxy_rules_duration_seconds_count ip_family=IPv4": 2,
    "sync_proxy_rules_duration_seconds_bucket ip_family=IPv4 le=0.002": 0,
    "sync_proxy_rules_duration_seconds_bucket ip_family=IPv4 le=0.004": 1,
    "sync_proxy_rules_duration_seconds_bucket ip_family=IPv4 le=16.384": 2,
    "network_programming_duration_seconds_bucket ip_family=IPv4 le=0.5": 1,
    "network_programming_duration_seconds_sum ip_family=IPv4": 2.5,
    "sync_proxy_rules_last_timestamp_seconds ip_family=IPv4": 1e9 + 3,
    "sync_proxy_rules_last_queued_timestamp_seconds ip_family=IPv4": 0,
    "sync_proxy_rules_endpoint_changes_pending": 1,
    "sync_proxy_rules_endpoint_changes_total": 3,
    "sync_proxy_rules_service_changes_pending": 0,
    "sync_proxy_rules_service_changes_total": 1,
    "sync_proxy_rules_no_local_endpoints_total ip_family=IPv4 traffic_policy=internal": 0,
    "conntrack_reconciler_deleted_entries_total ip_family=IPv4": 2,
    "conntrack_reconciler_sync_duration_seconds_count ip_family=IPv4": 1,
    "proxy_healthz_total code=200": 3,
    "proxy_healthz_total code=503": 1,
    "proxy_livez_total code=200": 2,
}
BY_MODE: dict[str, dict[str, float]] = {
    "iptables-legacy": {
        "sync_full_proxy_rules_duration_seconds_count ip_family=IPv4": 1,
        "sync_partial_proxy_rules_duration_seconds_count ip_family=IPv4": 1,
        "sync_proxy_rules_iptables_restore_failures_total ip_family=IPv4": 1,
        "sync_proxy_rules_iptables_partial_restore_failures_total ip_family=IPv4": 1,
        "sync_proxy_rules_iptables_total ip_family=IPv4 table=nat": 2,
    },
    "nftables": {
        "sync_full_proxy_rules_duration_seconds_count ip_family=IPv4": 1,
        "sync_partial_proxy_rules_duration_seconds_count ip_family=IPv4": 1,
        "sync_proxy_rules_nftables_sync_failures_total ip_family=IPv4": 1,
    },
    "ipvs/rr": {"sync_proxy_rules_iptables_restore_failures_total ip_family=IPv4": 1},
    "userspace": {},
}


@pytest.mark.parametrize("mode", BY_MODE)
def test_each_mode_publishes_what_kube_proxy_publishes_in_it(mode: str) -> None:
    found = published(mode, METRICS)
    wanted = {f"kubeproxy_{name}": value for name, value in (EVERYWHERE | BY_MODE[mode]).items()}
    assert {name: found.get(name) for name in wanted} == pytest.approx(wanted)
    others = {name for rows in BY_MODE.values() for name in rows} - set(BY_MODE[mode])
    assert not {f"kubeproxy_{name}" for name in others} & set(found)


def test_families_are_apart_and_changes_add_up() -> None:
    found = published("nftables", METRICS, Metrics().heard(2, 0))
    assert found["kubeproxy_sync_proxy_rules_duration_seconds_count ip_family=IPv6"] == 0
    assert found["kubeproxy_sync_proxy_rules_service_changes_total"] == 3


@pytest.mark.parametrize(
    ("duration_s", "bucket"), [(0.0, 0), (0.001, 0), (0.0011, 1), (16.384, 14), (16.4, 15)]
)
def test_a_bound_belongs_to_its_bucket(duration_s: float, bucket: int) -> None:
    counts = Histogram.of(SYNC_BUCKETS_S).observed(duration_s).counts
    assert counts.index(1) == bucket
    assert len(counts) == 16


def test_bounds_are_kube_proxys() -> None:
    assert (SYNC_BUCKETS_S[0], SYNC_BUCKETS_S[-1]) == (0.001, 16.384)
    assert PROGRAMMING_BUCKETS_S[:4] == (0, 0.25, 0.5, 1)
    assert PROGRAMMING_BUCKETS_S[-8:] == (115, 120, 150, 180, 210, 240, 270, 300)
    assert list(PROGRAMMING_BUCKETS_S) == sorted(set(PROGRAMMING_BUCKETS_S))


def test_rules_are_counted_by_table() -> None:
    restore = "*nat\n:A - [0:0]\n-A A -j B\n-A A -j C\nCOMMIT\n*filter\n-A D -j E\nCOMMIT\n"
    again = Command(("iptables-legacy-restore",), "*nat\n-A A -j B\nCOMMIT\n")
    commands = [Command(("iptables-legacy-restore",), restore), again, Command(("conntrack",))]
    assert rules_written(commands) == (("filter", 1), ("nat", 3))
    assert rules_written([]) == ()


LOCAL = Service(
    ObjectMeta("shop", "flows"),
    (ServicePort(80, "http", node_port=30080), ServicePort(443, "https")),
    cluster_ips=(a.crowd_ip(1),),
    internal_traffic_policy="Local",
    external_traffic_policy="Local",
)
SLICE = EndpointSlice(
    ObjectMeta("shop-a", "flows", labels={SERVICE_NAME_LABEL: "shop"}),
    (Endpoint((PLAN.pods["web-0"],), node_name="n1"),),
    (EndpointPort(8080, "http"), EndpointPort(8443, "https")),
)


@pytest.mark.parametrize(
    ("node", "slices", "internal", "external"),
    [("n1", [SLICE], 0, 0), ("n2", [SLICE], 2, 1), ("n2", [], 0, 0)],
    ids=["on this node", "on another only", "none anywhere"],
)
def test_local_policies_and_endpoints_elsewhere(
    node: str, slices: list[EndpointSlice], internal: int, external: int
) -> None:
    """Two ports with internal policy Local; the external one matters to the node port only."""
    table = table_of(snapshot_with([LOCAL, *slices]), node)
    assert no_local_endpoints(table) == {"internal": internal, "external": external}


def test_before_the_first_sync_no_service_lacks_an_endpoint() -> None:
    assert no_local_endpoints(None) == {"internal": 0, "external": 0}


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("iptables-nft", "iptables"),
        ("nftables", "nftables"),
        ("ipvs/lc", "ipvs"),
        ("userspace/mine", "userspace"),
    ],
)
def test_the_mode_of_a_label(name: str, mode: str) -> None:
    assert proxy_mode(name) == mode
