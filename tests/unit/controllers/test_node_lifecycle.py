"""A node falls silent: when it counts as lost, what is tainted, which pods go and when; and its return."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.controllers import node_lifecycle, pod_garbage, taint_eviction
from testbed.controllers.decision import Reconcile
from testbed.controllers.fresh_writes import apply_fresh
from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.node_lifecycle import NOT_READY, UNREACHABLE, UNSCHEDULABLE
from testbed.controllers.timing import NodeTiming
from testbed.model.objects.nodes import ZONE_LABEL, Node
from testbed.model.objects.pods import Pod
from testbed.model.scheduling import NO_EXECUTE, NO_SCHEDULE, Taint, Toleration
from testbed.store import Create, Delete, Store, Update

from .cluster import node, pod, running, snapshot, stored

TIMING = NodeTiming(monitor_period_s=5.0, monitor_grace_period_s=50.0, toleration_s=300.0)
OUR_EVICTION = (UNREACHABLE, NO_EXECUTE)


def began(*names: str, at_s: float = 0.0) -> Heartbeats:
    """Nodes whose kubelets are heard of since then."""
    beats = Heartbeats(TIMING.monitor_grace_period_s)
    for name in names:
        beats.begin(name, at_s)
    return beats


def ready_node(name: str, **fields: object) -> Node:
    return node(name, **{"ready_changed_s": 0.0, **fields})


def look(store: Store, beats: Heartbeats, now_s: float) -> None:
    """The node controllers' work at that time, until there is none."""
    both: tuple[Reconcile, ...] = (
        partial(node_lifecycle.reconcile, beats, TIMING),
        partial(taint_eviction.reconcile, TIMING),
    )
    for _ in range(9):
        writes = [write for reconcile in both for write in reconcile(store.snapshot(), now_s)[0]]
        if not writes:
            return
        apply_fresh(store, writes)
    raise AssertionError("it never comes to rest")


def taints(store: Store, name: str) -> set[tuple[str, str]]:
    return {(taint.key, taint.effect) for taint in store.get(Node, "", name).taints}


def test_a_node_that_is_heard_of_costs_no_write() -> None:
    store = stored(ready_node("n1"))
    version = store.resource_version
    for now_s in (1.0, 49.0, 51.0, 1000.0):
        look(store, began("n1"), now_s)
    assert store.resource_version == version


SILENCES = [
    # silent from, now, whether it counts as lost: renewals at 0, 10, 20; looks every 5 s; grace 50 s
    (21.0, 65.0, False),
    (21.0, 70.0, False),  # 50 s after the last renewal is not longer than 50 s
    (21.0, 74.9, False),  # the look at 75 s is not yet
    (21.0, 75.0, True),
    (29.9, 75.0, True),
    (30.0, 75.0, False),
]


@pytest.mark.parametrize(("from_s", "now_s", "lost"), SILENCES)
def test_when_a_silent_node_is_lost(from_s: float, now_s: float, *, lost: bool) -> None:
    store, beats = stored(ready_node("n1"), ready_node("n2")), began("n1", "n2")
    beats.end("n1", from_s)
    look(store, beats, now_s)
    found = store.get(Node, "", "n1")
    assert (found.ready, found.unreachable) == (not lost, lost)
    expected = {(UNREACHABLE, NO_SCHEDULE), OUR_EVICTION} if lost else set()
    assert taints(store, "n1") == expected
    assert taints(store, "n2") == set()


def test_a_lost_nodes_pods_cease_to_be_ready_in_the_same_write() -> None:
    here, there = (
        running(pod("web-0"), "10.244.1.2", "n1"),
        running(pod("web-1"), "10.244.2.2", "n2"),
    )
    store, beats = stored(ready_node("n1"), ready_node("n2"), here, there), began("n1", "n2")
    beats.end("n1", 0.0)
    writes, wake_at_s = node_lifecycle.reconcile(beats, TIMING, store.snapshot(), 57.0)
    assert [write.object.meta.name for write in writes if isinstance(write, Update)] == [
        "n1",
        "web-0",
    ]
    assert wake_at_s == 60.0
    store.apply(writes)
    found = store.get(Pod, "default", "web-0")
    assert (found.status.ready, found.status.ready_changed_s) == (False, 57.0)
    assert store.get(Pod, "default", "web-1").status.ready


STAYS = [
    # the pod's tolerations, seconds that it stays once the node is tainted (None: for ever)
    ("none of its own: as every pod has", (), 300.0),
    ("shorter", (Toleration(UNREACHABLE, "Exists", "", "NoExecute", 20),), 20.0),
    ("for ever", (Toleration(UNREACHABLE, "Exists", "", "NoExecute"),), None),
    ("everything", (Toleration(operator="Exists"),), None),
    ("the least of several", (
        Toleration(operator="Exists", toleration_seconds=40),
        Toleration(UNREACHABLE, "Exists", "", "NoExecute", 90),
    ), 40.0),
    ("another effect only", (Toleration(UNREACHABLE, "Exists", "", "NoSchedule"),), 300.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "tolerations", "stays_s"), STAYS, ids=[row[0] for row in STAYS])
def test_how_long_a_pod_stays_on_a_lost_node(
    name: str, tolerations: tuple[Toleration, ...], stays_s: float | None
) -> None:
    bare = running(pod("web-0", tolerations=tolerations), "10.244.1.2", "n1")
    store, beats = stored(ready_node("n1"), ready_node("n2"), bare), began("n1", "n2")
    beats.end("n1", 0.0)
    look(store, beats, 55.0)
    due_s = 55.0 + (stays_s or 1e6)
    look(store, beats, due_s - 0.1)
    assert store.get(Pod, "default", "web-0").meta.deletion_s is None
    look(store, beats, due_s)
    left = store.get(Pod, "default", "web-0").meta.deletion_s
    assert left == (None if stays_s is None else due_s)


def test_a_node_that_returns_is_rid_of_its_taints() -> None:
    other = Taint("example.com/own", NO_SCHEDULE, "x")
    store = stored(ready_node("n1", taints=(other,)), ready_node("n2"))
    beats = began("n1", "n2")
    beats.end("n1", 0.0)
    look(store, beats, 55.0)
    assert len(taints(store, "n1")) == 3
    beats.begin("n1", 60.0)
    back = replace(store.get(Node, "", "n1"), ready=True, unreachable=False, ready_changed_s=60.0)
    store.apply([Update(back)])
    look(store, beats, 60.0)
    assert store.get(Node, "", "n1").taints == (other,)


def test_a_node_that_can_be_heard_again_is_not_judged_by_a_look_before_that() -> None:
    store, beats = stored(ready_node("n1"), ready_node("n2")), began("n1", "n2", at_s=2.5)
    beats.end("n1", 3.0)
    look(store, beats, 61.0)
    heard_s = beats.resume("n1", 65.5)
    back = replace(
        store.get(Node, "", "n1"), ready=True, unreachable=False, ready_changed_s=heard_s
    )
    store.apply([Update(back)])
    for now_s in (heard_s, heard_s + 1.0, heard_s + 20.0):
        look(store, beats, now_s)
        assert store.get(Node, "", "n1").ready
    beats.end("n1", heard_s + 21.0)
    look(store, beats, heard_s + 100.0)
    assert store.get(Node, "", "n1").unreachable


def test_a_cordoned_node_is_tainted_and_an_uncordoned_one_is_not() -> None:
    store, beats = stored(ready_node("n1", unschedulable=True)), began("n1")
    look(store, beats, 1.0)
    assert taints(store, "n1") == {(UNSCHEDULABLE, NO_SCHEDULE)}
    store.apply([Update(replace(store.get(Node, "", "n1"), unschedulable=False))])
    look(store, beats, 1.0)
    assert taints(store, "n1") == set()


def test_a_node_that_says_that_it_is_not_ready() -> None:
    store, beats = stored(ready_node("n1", ready=False), ready_node("n2")), began("n1", "n2")
    look(store, beats, 1.0)
    assert taints(store, "n1") == {(NOT_READY, NO_SCHEDULE), (NOT_READY, NO_EXECUTE)}


def test_a_node_that_has_not_begun_is_left_alone() -> None:
    store = stored(node("n1", ready=False))
    look(store, began(), 1000.0)
    assert taints(store, "n1") == set()


def evicting(store: Store) -> set[str]:
    return {
        item.meta.name for item in store.list(Node) if OUR_EVICTION in taints(store, item.meta.name)
    }


DISRUPTIONS = [
    # nodes of zone a, of zone b, silent ones, whose pods are to go at 55 s, at 65 s
    ("one after another", 4, 0, ["a0", "a1"], {"a0"}, {"a0", "a1"}),
    ("each zone has its own pace", 2, 2, ["a0", "b0"], {"a0", "b0"}, {"a0", "b0"}),
    ("all nodes: the fault is elsewhere", 2, 1, ["a0", "a1", "b0"], set(), set()),
    ("all nodes of one zone", 2, 1, ["a0", "a1"], {"a0"}, {"a0", "a1"}),
    ("most of a small zone: none goes", 5, 0, ["a0", "a1", "a2"], set(), set()),
]


@pytest.mark.parametrize(
    ("name", "in_a", "in_b", "silent", "first", "second"),
    DISRUPTIONS,
    ids=[row[0] for row in DISRUPTIONS],
)
def test_pods_of_many_lost_nodes_do_not_all_go_at_once(
    name: str,
    in_a: int,
    in_b: int,
    *,
    silent: list[str],
    first: set[str],
    second: set[str],
) -> None:
    names = [*(f"a{index}" for index in range(in_a)), *(f"b{index}" for index in range(in_b))]
    store = stored(*(ready_node(one, labels={ZONE_LABEL: one[0]}) for one in names))
    beats = began(*names)
    for one in silent:
        beats.end(one, 0.0)
    look(store, beats, 55.0)
    assert evicting(store) == first
    look(store, beats, 65.0)
    assert evicting(store) == second


def test_a_taint_that_somebody_sets_counts_from_when_it_is_seen() -> None:
    own = Taint("example.com/full", NO_EXECUTE)
    tolerant = Toleration("example.com/full", "Exists", toleration_seconds=30)
    patient = running(pod("web-0", tolerations=(tolerant,)), "10.244.1.2", "n1")
    stranger = running(pod("web-1"), "10.244.1.3", "n1")
    store, beats = stored(ready_node("n1", taints=(own,)), patient, stranger), began("n1")
    look(store, beats, 100.0)
    assert store.get(Pod, "default", "web-1").meta.deletion_s == 100.0
    assert store.get(Pod, "default", "web-0").meta.deletion_s is None
    assert taint_eviction.reconcile(TIMING, store.snapshot(), 100.0)[1] == 130.0
    look(store, beats, 130.0)
    assert store.get(Pod, "default", "web-0").meta.deletion_s == 130.0


def test_pods_of_a_node_that_is_gone_are_removed_after_a_while() -> None:
    reconcile = pod_garbage.remembering()
    store = stored(node("n1"), running(pod("web-0"), "10.244.1.2", "n1"))
    assert reconcile(store.snapshot(), 0.0) == ([], None)
    store.apply([Delete("Node", "", "n1")])
    assert reconcile(store.snapshot(), 5.0) == ([], 45.0)
    assert reconcile(store.snapshot(), 44.0) == ([], 45.0)
    writes, _ = reconcile(store.snapshot(), 45.0)
    store.apply(writes)
    assert store.list(Pod) == ()


def test_a_node_that_comes_back_in_time_keeps_its_pods() -> None:
    reconcile = pod_garbage.remembering()
    store = stored(running(pod("web-0"), "10.244.1.2", "n1"))
    assert reconcile(store.snapshot(), 5.0) == ([], 45.0)
    store.apply([Create(node("n1"))])
    assert reconcile(store.snapshot(), 46.0) == ([], None)


def test_terminating_pods_of_a_node_out_of_service_are_removed_at_once() -> None:
    broken = node("n1", ready=False, taints=(Taint(pod_garbage.OUT_OF_SERVICE, NO_EXECUTE),))
    left = running(pod("web-0"), "10.244.1.2", "n1")
    going = running(pod("web-1"), "10.244.1.3", "n1")
    going = replace(going, meta=replace(going.meta, deletion_s=1.0))
    writes, _ = pod_garbage.reconcile(snapshot(broken, left, going), 2.0)
    assert [write.name for write in writes if isinstance(write, Delete)] == ["web-1"]


def test_pods_that_ended_are_kept_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_garbage, "MOST_TERMINATED", 2)
    ended = [running(pod(f"job-{index}"), "", "n1", phase="Succeeded") for index in range(4)]
    writes, _ = pod_garbage.reconcile(snapshot(node("n1"), *ended), 2.0)
    assert [write.name for write in writes if isinstance(write, Delete)] == ["job-0", "job-1"]


@settings(max_examples=60, deadline=None)
@given(
    silences=st.lists(
        st.tuples(st.sampled_from(["n1", "n2", "n3"]), st.floats(1, 200), st.floats(1, 400)),
        max_size=5,
    )
)
def test_a_node_is_lost_if_and_only_if_it_was_silent_for_too_long(
    silences: list[tuple[str, float, float]],
) -> None:
    names = ("n1", "n2", "n3")
    store, beats = stored(*map(ready_node, names)), began(*names)
    now_s = 0.0
    for name, wait_s, silence_s in silences:
        now_s += wait_s
        beats.end(name, now_s)
        now_s += silence_s
        look(store, beats, now_s)
        lost = store.get(Node, "", name).unreachable
        slack_s = TIMING.monitor_period_s + 10.0  # the look and the renewal that were due before
        if silence_s > TIMING.monitor_grace_period_s + slack_s:
            assert lost
        if silence_s <= TIMING.monitor_grace_period_s - slack_s:
            assert not lost
        beats.begin(name, now_s)
        back = replace(
            store.get(Node, "", name), ready=True, unreachable=False, ready_changed_s=now_s
        )
        store.apply([Update(back)])
        look(store, beats, now_s)
        assert all(taints(store, one) == set() for one in names)
