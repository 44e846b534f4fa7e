"""Which service is given which address of which pool, and what is said where none is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from testbed.controllers.load_balancers import CLEANUP, Settings, outcomes, reconcile, remembering
from testbed.model.load_balancer import ALLOCATED_FROM, LoadBalancer
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.services import Service
from testbed.store import Create, Delete, Snapshot, Store, Update
from tests.unit.edge.balancing import service, state

SMALL = {"default": {"addresses": ["203.0.113.4-203.0.113.5"]}}
TWO = {
    "kept": {"addresses": ["203.0.113.32/30"], "autoAssign": False},
    "open": {"addresses": ["203.0.113.254-203.0.114.1"], "avoidBuggyIPs": True},
}
DUAL = {"default": {"addresses": ["203.0.113.4/31", "2001:db8::4/127"]}}
BOTH = {"ip_families": ("IPv4", "IPv6"), "cluster_ips": ("10.96.0.9", "fd00:10:96::9")}
SHARED = {"metallb.io/allow-shared-ip": "one"}


def balancer(pools: Mapping[str, Any] = SMALL, **more: Any) -> LoadBalancer:
    return LoadBalancer.model_validate({"provider": "l2", "pools": pools, **more})


def told(pools: Mapping[str, Any], *services: Service) -> dict[str, str]:
    """Of each service: its addresses, or why it has none."""
    given, refused = outcomes(balancer(pools), state(*services))
    found = {name: ", ".join(map(str, one.addresses)) for (_, name), one in given.items()}
    return found | {name: why for (_, name), why in refused.items()}


ROWS = {
    "the first free one, in the order in which they were made": (
        SMALL,
        [service("b"), service("a"), service("c")],
        {"b": "203.0.113.4", "a": "203.0.113.5", "c": "no available IPs"},
    ),
    "what it has it keeps, whoever came before": (
        SMALL,
        [service("a"), service("b", ips=["203.0.113.4"])],
        {"a": "203.0.113.5", "b": "203.0.113.4"},
    ),
    "what no pool has any more is given up": (
        SMALL,
        [service("a", ips=["198.51.100.1"])],
        {"a": "203.0.113.4"},
    ),
    "spec.loadBalancerIP is heeded": (
        SMALL,
        [service("a", load_balancer_ip="203.0.113.5")],
        {"a": "203.0.113.5"},
    ),
    "another one that is asked for later takes the place of the old one": (
        SMALL,
        [service("a", ips=["203.0.113.4"], load_balancer_ip="203.0.113.5")],
        {"a": "203.0.113.5"},
    ),
    "one that somebody else has": (
        SMALL,
        [service("a"), service("b", load_balancer_ip="203.0.113.4")],
        {"a": "203.0.113.4", "b": "can't share 203.0.113.4: address also in use by default/a"},
    ),
    "one that no pool has": (
        SMALL,
        [service("a", load_balancer_ip="203.0.113.9")],
        {"a": "203.0.113.9 is not allowed in config: no pool has it"},
    ),
    "no address at all": (
        SMALL,
        [service("a", load_balancer_ip="web")],
        {"a": "invalid spec.loadBalancerIP 'web'"},
    ),
    "MetalLB's annotation, in its older spelling too": (
        SMALL,
        [service("a", notes={"metallb.universe.tf/loadBalancerIPs": "203.0.113.5"})],
        {"a": "203.0.113.5"},
    ),
    "both ways of asking": (
        SMALL,
        [
            service(
                "a",
                notes={"metallb.io/loadBalancerIPs": "203.0.113.5"},
                load_balancer_ip="203.0.113.5",
            )
        ],
        {"a": "service can not have both metallb.io/loadBalancerIPs and loadBalancerIP"},
    ),
    "an address of another family": (
        DUAL,
        [service("a", load_balancer_ip="2001:db8::4")],
        {
            "a": "requested loadBalancer IP(s) 2001:db8::4 does not match the ipFamily of the service"
        },
    ),
    "a pool that gives nothing out by itself is passed over, buggy addresses too": (
        TWO,
        [service("a"), service("b"), service("c")],
        {"a": "203.0.113.254", "b": "203.0.114.1", "c": "no available IPs"},
    ),
    "and is asked for by name": (
        TWO,
        [service("a", notes={"metallb.io/address-pool": "kept"})],
        {"a": "203.0.113.32"},
    ),
    "or by address": (
        TWO,
        [service("a", load_balancer_ip="203.0.113.33")],
        {"a": "203.0.113.33"},
    ),
    "a pool that there is not": (
        TWO,
        [service("a", notes={"metallb.io/address-pool": "x"})],
        {"a": 'unknown pool "x"'},
    ),
    "an address of another pool than the one that is named": (
        TWO,
        [service("a", notes={"metallb.io/address-pool": "open"}, load_balancer_ip="203.0.113.33")],
        {"a": "203.0.113.33 is not compatible with requested address pool open"},
    ),
    "a buggy address that is asked for": (
        TWO,
        [service("a", load_balancer_ip="203.0.113.255")],
        {"a": "203.0.113.255 is not allowed in config: no pool has it"},
    ),
    "one address of each family": (
        DUAL,
        [service("a", ip_family_policy="RequireDualStack", **BOTH)],
        {"a": "203.0.113.4, 2001:db8::4"},
    ),
    "both families are needed": (
        SMALL,
        [service("a", ip_family_policy="RequireDualStack", **BOTH)],
        {"a": "no available IPs"},
    ),
    "both families are preferred": (
        SMALL,
        [service("a", ip_family_policy="PreferDualStack", **BOTH)],
        {"a": "203.0.113.4"},
    ),
    "shared on different ports": (
        SMALL,
        [service("a", notes=SHARED), service("b", notes=SHARED, ports=[443])],
        {"a": "203.0.113.4", "b": "203.0.113.4"},
    ),
    "not shared on one port": (
        SMALL,
        [service("a", notes=SHARED), service("b", notes=SHARED)],
        {"a": "203.0.113.4", "b": "203.0.113.5"},
    ),
    "not shared by services of policy Local with other pods": (
        SMALL,
        [
            service("a", notes=SHARED, external_traffic_policy="Local", selector={"app": "a"}),
            service(
                "b",
                notes=SHARED,
                ports=[443],
                external_traffic_policy="Local",
                selector={"app": "b"},
            ),
        ],
        {"a": "203.0.113.4", "b": "203.0.113.5"},
    ),
    "a foreign class is left alone": (
        SMALL,
        [service("a", load_balancer_class="example.com/x"), service("b")],
        {"b": "203.0.113.4"},
    ),
}


@pytest.mark.parametrize(("pools", "services", "wanted"), ROWS.values(), ids=ROWS)
def test_addresses(
    pools: Mapping[str, Any], services: list[Service], wanted: dict[str, str]
) -> None:
    assert told(pools, *services) == wanted


def settled(store: Store, settings: Settings) -> Snapshot:
    """What the controller makes of a store; asked again it has nothing to add."""
    ask = remembering(settings)
    while writes := ask(store.snapshot(), 0.0)[0]:
        store.apply(writes)
    assert reconcile(settings, store.snapshot(), 0.0) == ([], None)
    return store.snapshot()


def made(*services: Service) -> Store:
    store = Store(lambda: 0.0)
    store.apply([Create(one) for one in services])
    return store


def shown(snapshot: Snapshot, name: str) -> tuple[list[tuple[str, str]], str]:
    """Its status, and the pool that is noted."""
    found = snapshot.get(Service, "default", name)
    assert found is not None
    ingress = [(one.ip, one.ip_mode) for one in found.load_balancer_ingress]
    return ingress, found.meta.annotations.get(ALLOCATED_FROM, "")


def test_status_says_the_address_how_it_is_meant_and_of_which_pool_it_is() -> None:
    store = made(service("a"))
    after = settled(store, Settings(balancer(), "Proxy"))
    assert shown(after, "a") == ([("203.0.113.4", "Proxy")], "default")


def test_a_service_that_is_no_load_balancer_any_more_gives_its_address_back() -> None:
    settings = Settings(balancer())
    store = made(service("a"), service("b"), service("c"))
    before = settled(store, settings)
    assert shown(before, "c") == ([], "")
    a = before.get(Service, "default", "a")
    assert a is not None
    store.apply([Update(replace(a, type="ClusterIP"))])
    after = settled(store, settings)
    assert shown(after, "a") == ([], "")
    assert shown(after, "c") == ([("203.0.113.4", "VIP")], "default")


def test_a_deleted_one_s_address_is_free() -> None:
    settings = Settings(balancer())
    store = made(service("a"), service("b"), service("c"))
    settled(store, settings)
    store.apply([Delete("Service", "default", "b")])
    assert shown(settled(store, settings), "c") == ([("203.0.113.5", "VIP")], "default")


def test_what_is_being_deleted_keeps_its_address_until_it_is_gone_and_is_given_none() -> None:
    settings = Settings(balancer())
    store = made(service("a"), service("b"))
    settled(store, settings)
    for one in store.list(Service):
        store.apply([Update(with_meta(one, deletion_s=1.0, finalizers=("example.com/x",)))])
    store.apply([Create(service("c"))])
    after = settled(store, settings)
    assert [shown(after, name)[1] for name in "abc"] == ["default", "default", ""]


def test_a_foreign_class_s_status_is_left_alone_whatever_it_says() -> None:
    store = made(service("a", load_balancer_class="example.com/x", ips=["192.0.2.1"]))
    assert shown(settled(store, Settings(balancer())), "a") == ([("192.0.2.1", "VIP")], "")


def test_a_foreign_class_s_finalizer_is_left_to_its_controller() -> None:
    finalizers = (CLEANUP,)
    going = with_meta(
        service("a", load_balancer_class="example.com/x"), deletion_s=1.0, finalizers=finalizers
    )
    after = settled(made(going), Settings(balancer())).get(Service, "default", "a")
    assert after is not None
    assert after.meta.finalizers == finalizers


def test_thousands_at_once_have_an_address_each_in_the_order_of_the_pool() -> None:
    pools = {"default": {"addresses": ["10.64.0.0/20"]}}
    services = [service(f"s{number}") for number in range(3000)]
    given, refused = outcomes(balancer(pools), state(*services))
    first = int(ip_address("10.64.0.0"))
    assert [int(one.addresses[0]) - first for one in given.values()] == list(range(3000))
    assert not refused


def test_one_s_own_class_and_no_other() -> None:
    own = balancer(loadBalancerClass="example.com/x")
    store = made(service("a", load_balancer_class="example.com/x"), service("b"))
    after = settled(store, Settings(own))
    assert shown(after, "a") == ([("203.0.113.4", "VIP")], "default")
    assert shown(after, "b") == ([], "")


def test_a_cloud_s_services_have_a_finalizer_until_their_balancer_is_gone() -> None:
    settings = Settings(balancer(), finalizer=True)
    store = made(service("a"))
    a = settled(store, settings).get(Service, "default", "a")
    assert a is not None
    assert a.meta.finalizers == (CLEANUP,)
    store.apply([Update(with_meta(a, deletion_s=1.0))])
    assert settled(store, settings).get(Service, "default", "a") is None


def test_changes_of_other_services_are_no_work() -> None:
    settings = Settings(balancer())
    store = made(service("a"), service("b", type="ClusterIP"))
    ask = remembering(settings)
    store.apply(ask(store.snapshot(), 0.0)[0])
    assert ask(store.snapshot(), 0.0)[0] == []
    store.apply([Delete("Service", "default", "b")])
    assert ask(store.snapshot(), 0.0) == ([], None)
