"""The generic loop and its informers, on a simulated clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from testbed.controllers.builtin import CONTROLLERS
from testbed.controllers.decision import Controller, Decision
from testbed.controllers.fresh_writes import apply_fresh
from testbed.controllers.informer import Informer
from testbed.controllers.loop import ControllerLoop
from testbed.controllers.timing import Delays
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import ORDINAL_NAMES_ANNOTATION
from testbed.store import Change, Create, Delete, Snapshot, Store, Update

from .cluster import deployment, node, pod, running, service
from .simulated import now_s, simulate


class Watched:
    """A controller that writes nothing and remembers what it was shown, and when."""

    def __init__(self, wake_at_s: float | None = None) -> None:
        self.calls: list[tuple[float, int]] = []
        self.wake_at_s = wake_at_s
        self.controller = Controller("watched", (Node,), self._reconcile)

    def _reconcile(self, snapshot: Snapshot, at_s: float) -> Decision:
        self.calls.append((at_s, len(list(snapshot.list(Node)))))
        wake_at_s, self.wake_at_s = self.wake_at_s, None
        return [], wake_at_s


def test_from_objects_to_bound_pods_and_slices() -> None:
    async def scenario() -> None:
        store = Store(now_s)
        loop = ControllerLoop(store, CONTROLLERS, now_s)
        loop.start()
        ordinal = {ORDINAL_NAMES_ANNOTATION: "ordinal"}
        store.apply([Create(node("n1")), Create(deployment("web", 2, annotations=ordinal))])
        store.apply([Create(service())])
        await asyncio.sleep(0.001)
        assert [found.spec.node_name for found in store.list(Pod)] == ["n1", "n1"]
        assert len(store.list(EndpointSlice)) == 1
        await loop.stop()

    simulate(scenario)


def test_changes_of_one_turn_are_one_call() -> None:
    async def scenario() -> None:
        store, watched = Store(now_s), Watched()
        loop = ControllerLoop(store, (watched.controller,), now_s)
        loop.start()
        await asyncio.sleep(1)
        for index in range(5):
            store.apply([Create(node(f"n{index}"))])
        await asyncio.sleep(1)
        store.apply([Create(pod())])  # not a kind it watches
        await asyncio.sleep(1)
        await loop.stop()
        assert watched.calls == [(1000.0, 0), (1001.0, 5)]

    simulate(scenario)


def test_a_controller_is_woken_when_it_asked_to_be() -> None:
    async def scenario() -> None:
        watched = Watched(wake_at_s=1007.5)
        loop = ControllerLoop(Store(now_s), (watched.controller,), now_s)
        loop.start()
        await asyncio.sleep(20)
        await loop.stop()
        assert [at_s for at_s, _ in watched.calls] == [1000.0, 1007.5]

    simulate(scenario)


def test_a_paused_controller_sees_nothing_and_then_all() -> None:
    async def scenario() -> None:
        store, watched = Store(now_s), Watched()
        loop = ControllerLoop(store, (watched.controller,), now_s)
        loop.start()
        await asyncio.sleep(1)
        loop.pause("watched")
        store.apply([Create(node("n1"))])
        store.apply([Create(node("n2"))])
        await asyncio.sleep(10)
        loop.resume("watched")
        await asyncio.sleep(1)
        await loop.stop()
        assert watched.calls == [(1000.0, 0), (1011.0, 2)]

    simulate(scenario)


def test_delays_do_not_make_a_controller_repeat_its_own_writes() -> None:
    async def scenario() -> None:
        store = Store(now_s)
        delays = Delays(watch_s=lambda: 0.3, api_s=lambda: 0.05)
        loop = ControllerLoop(store, CONTROLLERS, now_s, delays)
        loop.start()
        store.apply([Create(node("n1")), Create(deployment("web", 4))])
        for index in range(20):  # a stream of deliveries that are older than its own write
            await asyncio.sleep(0.04)
            store.apply([Create(node(f"other-{index}", ready=False))])
        await asyncio.sleep(5)
        await loop.stop()
        pods = store.list(Pod)
        assert len(pods) == 4
        assert {found.spec.node_name for found in pods} == {"n1"}
        # Deployment to ReplicaSet to pods: each sees the other's write 0.3 s late, and writes 0.05 s later.
        assert all(found.meta.creation_s == pytest.approx(1000.7) for found in pods)

    simulate(scenario)


def test_a_slice_deleted_by_hand_comes_back() -> None:
    async def scenario() -> None:
        store = Store(now_s)
        loop = ControllerLoop(store, CONTROLLERS, now_s)
        loop.start()
        store.apply([Create(service())])
        await asyncio.sleep(1)
        (made,) = store.list(EndpointSlice)
        store.apply([Delete("EndpointSlice", "default", made.meta.name)])
        await asyncio.sleep(1)
        assert len(store.list(EndpointSlice)) == 1
        await loop.stop()

    simulate(scenario)


def test_a_late_watch_loses_no_change_that_came_before_its_own_write() -> None:
    async def scenario() -> None:
        store = Store(now_s)
        loop = ControllerLoop(
            store, CONTROLLERS, now_s, Delays(watch_s=lambda: 0.3, api_s=lambda: 0.2)
        )
        loop.start()
        store.apply([Create(service()), Create(running(pod("web-0"), "10.244.1.2"))])
        await asyncio.sleep(0.4)  # the slice is being written, on what was known at 0.3 s
        store.apply([Create(running(pod("web-1"), "10.244.1.3"))])
        await asyncio.sleep(5)
        (made,) = store.list(EndpointSlice)
        assert len(made.endpoints) == 2
        await loop.stop()

    simulate(scenario)


def test_what_a_controller_raises_is_shown_at_once() -> None:
    def broken(snapshot: Snapshot, at_s: float) -> Decision:
        raise ZeroDivisionError

    async def scenario() -> None:
        loop = ControllerLoop(Store(now_s), (Controller("broken", (), broken),), now_s)
        loop.start()
        await asyncio.sleep(1)
        shown = asyncio.get_running_loop().bugs  # type: ignore[attr-defined]
        assert isinstance(shown.pop()["exception"], ZeroDivisionError)
        await loop.stop()

    simulate(scenario)


def test_stale_writes_are_skipped_and_fresh_ones_kept() -> None:
    store = Store(lambda: 0.0)
    store.apply([Create(node("n1")), Create(node("n2"))])
    old = store.get(Node, "", "n1")
    store.apply([Update(node("n1", unschedulable=True))])
    version = apply_fresh(
        store,
        [
            Update(with_meta(old, labels={"late": "yes"})),
            Create(node("n2")),
            Delete("Node", "", "n9"),
            Create(node("n3")),
        ],
    )
    assert [found.meta.name for found in store.list(Node)] == ["n1", "n2", "n3"]
    assert store.get(Node, "", "n1").meta.labels == {}
    assert version == store.resource_version == 4


# The informer


def informed(
    delays: Iterator[float] | None, scenario: Callable[[Store, Informer], object]
) -> list[tuple[float, str, int]]:
    """(when, which node, what the snapshot held) of each delivery, in a minute's time."""

    async def run() -> list[tuple[float, str, int]]:
        store = Store(now_s)
        seen: list[tuple[float, str, int]] = []

        def deliver(changes: tuple[Change, ...]) -> None:
            count = len(list(informer.snapshot().list(Node)))
            seen.append((now_s() - 1000, changes[0].object.meta.name, count))

        loop = asyncio.get_running_loop()
        draw = None if delays is None else lambda: next(delays)
        informer = Informer(store, deliver, loop.call_later, now_s, draw)
        scenario(store, informer)
        await asyncio.sleep(60)
        return seen

    return simulate(run)


def two_nodes(store: Store, informer: Informer) -> None:
    store.apply([Create(node("n1"))])
    store.apply([Create(node("n2"))])


def test_without_a_delay_a_change_is_delivered_within_the_write() -> None:
    assert informed(None, two_nodes) == [(0.0, "n1", 1), (0.0, "n2", 2)]


def test_a_late_change_comes_with_the_state_it_made() -> None:
    assert informed(iter([1.0, 4.0]), two_nodes) == [(1.0, "n1", 1), (4.0, "n2", 2)]


def test_no_change_overtakes_another() -> None:
    assert informed(iter([5.0, 1.0]), two_nodes) == [(5.0, "n1", 1), (5.0, "n2", 2)]


def test_before_the_first_delivery_the_state_is_the_old_one() -> None:
    counts: list[int] = []

    def scenario(store: Store, informer: Informer) -> None:
        two_nodes(store, informer)
        counts.append(len(list(informer.snapshot().list(Node))))

    informed(iter([1.0, 1.0]), scenario)
    assert counts == [0]


def test_a_pause_holds_changes_back_in_order() -> None:
    def scenario(store: Store, informer: Informer) -> None:
        informer.pause()
        two_nodes(store, informer)
        assert list(informer.snapshot().list(Node)) == []
        asyncio.get_running_loop().call_later(7, informer.resume)

    assert informed(None, scenario) == [(7.0, "n1", 1), (7.0, "n2", 2)]


def test_a_stopped_informer_delivers_nothing_more() -> None:
    def scenario(store: Store, informer: Informer) -> None:
        two_nodes(store, informer)
        informer.stop()
        store.apply([Create(node("n3"))])

    assert informed(iter([1.0, 1.0]), scenario) == []
