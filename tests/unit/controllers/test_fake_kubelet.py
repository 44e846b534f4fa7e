"""Nodes and pods that are said to run: what becomes of them, and that remembering says the same."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.controllers.fake_kubelet import AT_ONCE, FakeDelays, reconcile, remembering
from testbed.controllers.fake_ranges import Ranges
from testbed.controllers.fresh_writes import apply_fresh
from testbed.controllers.pod_deletion import deletion
from testbed.model.fakes import NODE_ANNOTATIONS
from testbed.model.objects.metadata import Condition, ObjectMeta, with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.store import Create, Delete, Store, Update
from tests.unit.controllers.cluster import node, pod, running, stored

RANGE = "10.244.7.0/29"
ROOM = 5


def fake(name: str = "ghost", cidr: str = RANGE, **fields: Any) -> Node:
    meta = ObjectMeta(name, annotations=NODE_ANNOTATIONS)
    return Node(meta, ("172.18.0.9",), (cidr,), **fields)


def bound(name: str, node_name: str = "ghost", **spec: Any) -> Pod:
    return pod(name, node_name=node_name, **spec)


def settled(store: Store, now_s: float = 0.0, **delays: float) -> float | None:
    """Let it have its way; when it wants to be asked again."""
    while True:
        writes, wake_at_s = reconcile(FakeDelays(**delays), store.snapshot(), now_s)
        if not apply_fresh(store, writes):
            return wake_at_s


def pods(store: Store) -> dict[str, Pod]:
    return {item.meta.name: item for item in store.list(Pod)}


def test_a_fake_node_becomes_ready_and_a_real_one_does_not() -> None:
    store = stored(fake(), node("n1", ready=False))
    settled(store)
    assert {item.meta.name: item.ready for item in store.list(Node)} == {"ghost": True, "n1": False}


def test_a_pod_that_is_bound_there_runs_with_an_address_of_its_node() -> None:
    store = stored(
        fake(), node("n1"), bound("web-0"), bound("web-1"), bound("real", "n1"), pod("free")
    )
    settled(store, now_s=3.0)
    found = pods(store)
    assert found["web-0"].status.pod_ips == ("10.244.7.2",)
    assert found["web-1"].status.pod_ips == ("10.244.7.3",)
    status = found["web-0"].status
    assert (status.phase, status.ready, status.ready_changed_s) == ("Running", True, 3.0)
    assert status.host_ips == ("172.18.0.9",)
    assert [(one.name, one.ready, one.state) for one in status.containers] == [
        ("echo", True, "running")
    ]
    assert not found["real"].status.pod_ips
    assert not found["free"].status.pod_ips


def test_both_families_have_an_address() -> None:
    dual = replace(fake(), pod_cidrs=(RANGE, "fd00:10:244:7::/64"))
    store = stored(dual, bound("web-0"))
    settled(store)
    assert pods(store)["web-0"].status.pod_ips == ("10.244.7.2", "fd00:10:244:7::2")


def test_a_pod_of_the_nodes_own_network_has_its_address() -> None:
    store = stored(fake(), bound("agent", host_network=True))
    settled(store)
    assert pods(store)["agent"].status.pod_ips == ("172.18.0.9",)


def test_pods_without_an_address_left_say_so_and_get_one_that_is_given_back() -> None:
    store = stored(fake(), *(bound(f"web-{number}") for number in range(ROOM + 1)))
    settled(store)
    late = pods(store)[f"web-{ROOM}"].status
    assert (late.ready, late.reason) == (False, "FailedCreatePodSandBox")
    assert "ghost" in late.message
    store.apply([Delete("Pod", "default", "web-1")])
    settled(store)
    status = pods(store)[f"web-{ROOM}"].status
    assert (status.pod_ips, status.reason, status.message) == (("10.244.7.3",), "", "")


def test_a_deleted_pod_goes_and_its_address_is_free_again() -> None:
    store = stored(fake(), bound("web-0"))
    settled(store)
    store.apply([deletion(pods(store)["web-0"], 1.0), Create(bound("web-1"))])
    settled(store, now_s=1.0)
    assert set(pods(store)) == {"web-1"}
    store.apply([Create(bound("web-2"))])
    settled(store, now_s=1.0)
    assert pods(store)["web-2"].status.pod_ips == ("10.244.7.2",)


@pytest.mark.parametrize(
    ("now_s", "alive", "wake_at_s"), [(10.0, True, 12.0), (12.0, False, None), (99.0, False, None)]
)
def test_what_takes_time_to_go_is_waited_for(
    now_s: float, alive: bool, wake_at_s: float | None
) -> None:
    store = stored(fake(), bound("web-0"))
    settled(store)
    store.apply([deletion(pods(store)["web-0"], 10.0)])
    assert settled(store, now_s, stop_s=2.0) == wake_at_s
    assert bool(pods(store)) is alive


def test_a_grace_period_that_is_shorter_counts() -> None:
    store = stored(fake(), bound("web-0"))
    settled(store)
    store.apply([deletion(pods(store)["web-0"], 10.0, grace_s=1.0)])
    assert settled(store, 10.5, stop_s=60.0) == 11.0


def test_a_deleted_pod_with_a_finalizer_waits_for_it() -> None:
    store = stored(fake(), with_meta(bound("web-0"), finalizers=("example.com/keep",)))
    settled(store)
    store.apply([deletion(pods(store)["web-0"], 1.0)])
    settled(store, now_s=1.0)
    meta = pods(store)["web-0"].meta
    assert (meta.deletion_s, meta.deletion_grace_period_s) == (1.0, 0.0)


def test_what_takes_time_to_start_is_waited_for() -> None:
    store = stored(fake(), bound("web-0"))
    assert settled(store, 0.0, start_s=5.0) == 5.0
    assert not pods(store)["web-0"].status.ready
    assert settled(store, 5.0, start_s=5.0) is None
    assert pods(store)["web-0"].status.ready


def test_what_somebody_else_says_of_a_started_pod_stays() -> None:
    store = stored(fake(), bound("web-0"))
    settled(store)
    sick = pods(store)["web-0"]
    store.apply([Update(replace(sick, status=replace(sick.status, ready=False)))])
    settled(store)
    assert not pods(store)["web-0"].status.ready
    failed = replace(pods(store)["web-0"].status, phase="Failed", pod_ips=())
    store.apply([Update(replace(pods(store)["web-0"], status=failed))])
    settled(store)
    assert pods(store)["web-0"].status.phase == "Failed"


def test_a_readiness_gate_keeps_a_pod_from_being_ready_while_it_is_shut() -> None:
    store = stored(fake(), bound("web-0", readiness_gates=("example.com/gate",)))
    settled(store)
    shut = pods(store)["web-0"]
    assert (shut.status.phase, shut.status.ready) == ("Running", False)
    conditions = (Condition("example.com/gate", "True"),)
    store.apply([Update(replace(shut, status=replace(shut.status, conditions=conditions)))])
    settled(store)
    assert pods(store)["web-0"].status.ready


def test_a_node_that_becomes_fake_later_takes_the_pods_that_wait_there() -> None:
    plain = replace(fake(), meta=ObjectMeta("ghost"))
    store = stored(plain, bound("web-0"))
    following = remembering(FakeDelays())
    assert following(store.snapshot(), 0.0) == ([], None)
    store.apply([Update(with_meta(store.get(Node, "", "ghost"), annotations=NODE_ANNOTATIONS))])
    apply_fresh(store, following(store.snapshot(), 0.0)[0])
    assert pods(store)["web-0"].status.ready


def test_many_pods_are_written_in_portions() -> None:
    many = (bound(f"web-{number}") for number in range(AT_ONCE + 1))
    store = stored(fake(cidr="10.244.0.0/16"), *many)
    following = remembering(FakeDelays())
    writes, wake_at_s = following(store.snapshot(), 0.0)
    assert (len(writes), wake_at_s) == (AT_ONCE + 1, 0.0)  # the node's among them
    apply_fresh(store, writes)
    writes, wake_at_s = following(store.snapshot(), 0.0)
    assert (len(writes), wake_at_s) == (1, None)


STEPS = {
    "create": lambda store, number: Create(bound(f"web-{number}", f"ghost-{number % 2}")),
    "unbound": lambda store, number: Create(pod(f"web-{number}")),
    "delete": lambda store, number: deletion(pods(store)[f"web-{number}"], 1.0),
    "force": lambda store, number: Delete("Pod", "default", f"web-{number}"),
    "foreign": lambda store, number: Create(running(pod(f"web-{number}"), "10.244.9.9", "n1")),
    "ask": lambda store, number: None,
}


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9)), max_size=40))
def test_any_history_ends_alike_for_who_remembers_and_who_does_not(
    steps: list[tuple[str, int]],
) -> None:
    cidrs = {"ghost-0": "10.244.0.0/29", "ghost-1": "10.244.1.0/29"}
    store = stored(node("n1"), *(fake(name, cidr) for name, cidr in cidrs.items()))
    following, anew = remembering(FakeDelays()), partial(reconcile, FakeDelays())
    for name, number in steps:
        try:
            write = STEPS[name](store, number)
        except KeyError:
            continue
        if write is None:
            decision = following(store.snapshot(), 1.0)
            assert decision == anew(store.snapshot(), 1.0)
            # What is decided may be lost: who remembers must say it again.
            if number % 2:
                apply_fresh(store, decision[0])
        else:
            apply_fresh(store, [write])
    apply_fresh(store, following(store.snapshot(), 1.0)[0])
    apply_fresh(store, following(store.snapshot(), 1.0)[0])
    assert following(store.snapshot(), 1.0) == anew(store.snapshot(), 1.0)
    there = [item for item in pods(store).values() if item.spec.node_name in cidrs]
    addresses = [item.status.pod_ip for item in there if item.status.ready]
    assert len(set(addresses)) == len(addresses)
    for item in there:
        assert item.status.ready or item.status.reason == "FailedCreatePodSandBox"
        if item.status.ready:
            assert ip_address(item.status.pod_ip) in ip_network(cidrs[item.spec.node_name])


RANGES = Ranges(
    (ip_network("172.18.0.0/16"), ip_network("fd00:172:18::/64")),
    (ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56")),
    (24, 64),
)


def test_a_node_of_a_client_gets_addresses_that_nobody_has() -> None:
    bare = [Node(ObjectMeta(name, annotations=NODE_ANNOTATIONS)) for name in ("a", "b")]
    there = replace(node("n1"), internal_ips=("172.18.127.255",), pod_cidrs=("10.244.254.0/23",))
    store = stored(there, *bare)
    apply_fresh(store, reconcile(FakeDelays(), store.snapshot(), 0.0, RANGES)[0])
    assert [(one.internal_ips, one.pod_cidrs) for one in store.list(Node)][1:] == [
        (
            ("172.18.127.254", "fd00:172:18:0:7fff:ffff:ffff:ffff"),
            ("10.244.253.0/24", "fd00:10:244:ff::/64"),
        ),
        (
            ("172.18.127.253", "fd00:172:18:0:7fff:ffff:ffff:fffe"),
            ("10.244.252.0/24", "fd00:10:244:fe::/64"),
        ),
    ]


def test_a_node_for_which_there_is_no_range_left_is_ready_and_its_pods_wait() -> None:
    full = replace(node("n1"), pod_cidrs=("10.244.0.0/16", "fd00:10:244::/56"))
    store = stored(full, Node(ObjectMeta("a", annotations=NODE_ANNOTATIONS)), bound("web-0", "a"))
    apply_fresh(store, reconcile(FakeDelays(), store.snapshot(), 0.0, RANGES)[0])
    assert store.get(Node, "", "a").ready
    assert pods(store)["web-0"].status.reason == "FailedCreatePodSandBox"
