"""ipFamilies, ipFamilyPolicy and clusterIPs of a service, as the API server completes and refuses them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from testbed.errors import UsageError
from testbed.ip import FAMILY_NAMES, IPNetwork, family_of
from testbed.model.allocation import allocate
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service, ServicePort

FOUR, SIX = ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112")
CLUSTERS: dict[str, tuple[IPNetwork, ...]] = {
    "4": (FOUR,), "6": (SIX,), "4,6": (FOUR, SIX), "6,4": (SIX, FOUR),
}  # fmt: skip
SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"
NONE = ("None",)


def service(
    families: str = "", policy: str = "", ips: tuple[str, ...] = (), selector: str = "web"
) -> Service:
    return Service(
        ObjectMeta("web", "default"),
        (ServicePort(80),),
        {"app": selector} if selector else {},
        cluster_ips=ips,
        ip_families=_families(families),
        ip_family_policy=policy,
    )


def _families(text: str) -> tuple[str, ...]:
    return tuple(FAMILY_NAMES[int(part)] for part in text.split(",") if part)


@pytest.mark.parametrize(
    ("cluster", "asked", "families", "policy"),
    [
        ("4", service(), "4", SINGLE),
        ("6", service(), "6", SINGLE),
        ("4,6", service(), "4", SINGLE),
        ("6,4", service(), "6", SINGLE),
        ("4,6", service("6"), "6", SINGLE),
        ("4", service(policy=PREFER), "4", PREFER),
        ("4,6", service(policy=PREFER), "4,6", PREFER),
        ("6,4", service(policy=PREFER), "6,4", PREFER),
        ("4,6", service("6", PREFER), "6,4", PREFER),
        ("4,6", service(policy=REQUIRE), "4,6", REQUIRE),
        ("4,6", service("6,4"), "6,4", REQUIRE),
        ("4,6", service(ips=("fd00:10:96::7",)), "6", SINGLE),
        ("4,6", service(ips=("fd00:10:96::7",), policy=PREFER), "6,4", PREFER),
        ("4,6", service(ips=("fd00:10:96::7", "10.96.0.7")), "6,4", REQUIRE),
        ("4,6", service(ips=NONE), "4", SINGLE),
        ("4,6", service("6", PREFER, ips=NONE), "6,4", PREFER),
        ("4", service(ips=NONE, selector=""), "4,6", REQUIRE),
    ],
)  # fmt: skip
def test_what_is_left_out_is_completed(
    cluster: str, asked: Service, families: str, policy: str
) -> None:
    found = allocate(asked, (), CLUSTERS[cluster])
    assert (found.ip_families, found.ip_family_policy) == (_families(families), policy)
    if not asked.headless:
        assert tuple(FAMILY_NAMES[family_of(ip)] for ip in found.cluster_ips) == found.ip_families
    assert found.cluster_ips[: len(asked.cluster_ips)] == asked.cluster_ips


@pytest.mark.parametrize(
    ("cluster", "asked", "message"),
    [
        ("4", service("6"), "ipFamilies: the cluster has no IPv6 service addresses"),
        ("4", service("4,6"), "ipFamilies: the cluster has no IPv6 service addresses"),
        ("4", service(policy=REQUIRE), "ipFamilyPolicy: .* of one IP family only"),
        ("4", service(ips=("fd00:10:96::7",)), "clusterIP: fd00:10:96::7 is not one of serviceCIDR"),
        ("4,6", service("4,6", SINGLE), "ipFamilyPolicy: a SingleStack service has one"),
        ("4,6", service("4", ips=("fd00:10:96::7",)), "clusterIP: must be IPv4, as ipFamilies"),
        ("4,6", service("4,6", ips=("fd00:10:96::7", "10.96.0.7")), "must be IPv4 then IPv6"),
        ("4,6", service(ips=("10.96.0.7", "10.96.0.8")), "clusterIPs: one address per IP family"),
        ("4,6", Service(ObjectMeta("x"), type="ExternalName", ip_family_policy=PREFER),
         "ipFamilyPolicy: an ExternalName service has no IP family"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(cluster: str, asked: Service, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        allocate(asked, (), CLUSTERS[cluster])


def test_an_ipv6_range_has_no_broadcast_address() -> None:
    last = service(ips=("fd00:10:96::ffff",))
    assert allocate(last, (), (SIX,)).cluster_ips == last.cluster_ips
    with pytest.raises(UsageError, match="is not one of serviceCIDR"):
        allocate(service(ips=("fd00:10:96::",)), (), (SIX,))
