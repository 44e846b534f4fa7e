"""A whole kubelet on a simulated clock: what store, runtime and event log see, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from testbed.controllers.asking import Outcome
from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.kubelet import Kubelet
from testbed.controllers.pod_deletion import deletion
from testbed.controllers.pod_record import PodRecord
from testbed.controllers.timing import Delays
from testbed.events import Event
from testbed.model.containers import Container, Probe
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.store import Change, Create, Delete, Store, Update

from .cluster import ECHO, PROBE, node, pod
from .simulated import FakeRuntime, now_ns, now_s, simulate

UP = str(int(SIGTERM))
KILL = str(int(SIGKILL))


class World:
    """A store, a fake runtime and one kubelet on n1; `healthy` is what probes
    find, unless the container has `hung`."""

    def __init__(
        self,
        delays: Delays | None = None,
        start_s: float = 0.0,
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self.start_s = now_s()
        self.store = Store(now_s)
        self.store.apply([Create(node("n1", ready=False))])
        self.runtime = FakeRuntime(start_s)
        self.events: list[Event] = []
        self.healthy = True
        self.hung = False
        self.ready_history: list[tuple[float, bool]] = []
        self.transactions = 0
        self.store.watch(self._watched)
        self.kubelet = Kubelet(
            "n1",
            self.store,
            self.runtime,
            self.events.append,
            now_ns,
            delays=delays or Delays(),
            ask=self._ask,
            heartbeats=heartbeats,
        )

    async def _ask(self, pod: PodRecord, container: Container, probe: Probe) -> Outcome:
        if self.hung:
            await asyncio.sleep(probe.timeout_s)
            return Outcome(False, "timeout")
        return Outcome(self.healthy, "" if self.healthy else "refused")

    def _watched(self, changes: tuple[Change, ...]) -> None:
        self.transactions += 1
        for change in changes:
            item, before = change.object, change.previous
            if not isinstance(item, Pod) or not isinstance(before, Pod):
                continue
            if change.type == "MODIFIED" and item.status.ready != before.status.ready:
                self.ready_history.append((self.since_start(), item.status.ready))

    def since_start(self) -> float:
        return round(now_s() - self.start_s, 6)

    def pod(self, name: str = "web-0") -> Pod:
        return self.store.get(Pod, "default", name)

    def add(self, *pods: Pod) -> None:
        self.store.apply([Create(item) for item in pods])

    def die(self, exit_code: int = 137, name: str = "web-0") -> None:
        self.runtime.end(self.pod(name).meta.uid, "echo", exit_code)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def play(scenario: Callable[[World], Awaitable[None]], **world: Any) -> World:
    """Run a scenario in a world whose kubelet has started."""

    async def run() -> World:
        made = World(**world)
        made.kubelet.start()
        await scenario(made)
        await made.kubelet.stop()
        return made

    return simulate(run)


def bound(name: str = "web-0", **spec: Any) -> Pod:
    return pod(name, node_name="n1", **spec)


PROBED = replace(ECHO, readiness_probe=PROBE)
LIVE = replace(ECHO, liveness_probe=PROBE)


def test_a_started_kubelet_makes_its_node_ready() -> None:
    async def scenario(world: World) -> None:
        assert world.store.get(Node, "", "n1").ready

    play(scenario)


def test_a_pod_bound_to_the_node_runs_and_is_ready() -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(0.001)
        status = world.pod().status
        assert (status.phase, status.pod_ip, status.ready) == ("Running", "10.244.1.2", True)
        assert [(found.state, found.restart_count) for found in status.containers] == [
            ("running", 0)
        ]

    assert play(scenario).kinds() == ["container-started"]


def test_a_pod_of_another_node_is_left_alone() -> None:
    async def scenario(world: World) -> None:
        world.add(pod(node_name="n2"))
        await asyncio.sleep(5)

    assert play(scenario).runtime.calls == []


def test_a_hundred_pods_need_no_time_and_few_transactions() -> None:
    async def scenario(world: World) -> None:
        began_s, transactions = now_s(), world.transactions
        world.add(*(bound(f"web-{index}") for index in range(100)))
        while not all(found.status.ready for found in world.store.list(Pod)):
            await asyncio.sleep(0)
        assert now_s() == began_s
        assert world.transactions - transactions <= 5

    play(scenario)


def test_a_crash_is_noticed_by_the_relist_and_shows_as_not_ready_before_the_restart() -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(5.0)
        world.die()
        await asyncio.sleep(1.1)
        assert world.pod().status.ready
        assert world.pod().status.containers[0].restart_count == 1

    world = play(scenario, start_s=0.05)
    (_, first), (lost_s, lost), (again_s, again) = world.ready_history
    assert (first, lost, again) == (True, False, True)
    assert 5.0 < lost_s <= 6.0
    assert again_s == pytest.approx(lost_s + 0.05)
    died = next(event for event in world.events if event.kind == "container-died")
    assert died.detail["exit_code"] == 137
    assert died.detail["reason"] == "Error"
    assert died.t_ns > died.detail["finished_ns"]


def test_the_relist_phase_depends_on_seed_and_node_only() -> None:
    async def noticed(seed: int) -> float:
        world = World()
        world.kubelet = Kubelet(
            "n1", world.store, world.runtime, world.events.append, now_ns, seed=seed
        )
        world.kubelet.start()
        world.add(bound())
        await asyncio.sleep(1.5)
        world.die()
        await asyncio.sleep(1.5)
        await world.kubelet.stop()
        died = next(event for event in world.events if event.kind == "container-died")
        return died.t_ns / 1e9

    times = [simulate(partial(noticed, seed)) for seed in (1, 1, 2)]
    assert times[0] == times[1] != times[2]


def test_restarts_wait_longer_each_time_and_say_crash_loop() -> None:
    seen: list[tuple[str, str]] = []

    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(1)
        for _ in range(4):
            world.die(1)
            await asyncio.sleep(1.5)
            status = world.pod().status
            seen.append((status.reason, status.containers[0].state))
            while not world.pod().status.ready:
                await asyncio.sleep(0.5)

    world = play(scenario)
    assert seen == [("", "running")] + [("CrashLoopBackOff", "waiting")] * 3
    died = [event.detail["finished_ns"] / 1e9 for event in world.events if "died" in event.kind]
    started = [event.t_ns / 1e9 for event in world.events if "started" in event.kind]
    waited = [after - before for before, after in zip(died, started[1:], strict=True)]
    assert waited[0] <= 1.0
    assert waited[1:] == pytest.approx([10, 20, 40])


def test_a_readiness_probe_decides_who_is_ready() -> None:
    async def scenario(world: World) -> None:
        world.healthy = False
        world.add(bound(containers=(PROBED,)))
        await asyncio.sleep(15)
        assert world.pod().status.phase == "Running"
        assert not world.pod().status.ready
        world.healthy = True
        await asyncio.sleep(10)
        assert world.pod().status.ready
        world.healthy = False  # three failures, one period apart
        await asyncio.sleep(40)

    world = play(scenario)
    assert world.ready_history == [(20.0, True), (50.0, False)]
    assert world.kinds().count("probe-succeeded") == 1


@pytest.mark.parametrize("after_probe_s", [0.01, 2.5, 5.0, 7.5, 9.99])
def test_a_hang_is_detected_as_late_as_its_phase_says(after_probe_s: float) -> None:
    """Uniform over the fault's phase on [(f-1)p + t, fp + t] for period p, threshold f, timeout t."""

    async def scenario(world: World) -> None:
        world.add(bound(containers=(PROBED,)))
        await asyncio.sleep(20 + after_probe_s)  # probes are sent at 0, 10, 20, …
        world.hung = True
        await asyncio.sleep(60)

    detected_s = play(scenario).ready_history[-1][0] - (20 + after_probe_s)
    period_s, threshold, timeout_s = PROBE.period_s, PROBE.failure_threshold, PROBE.timeout_s
    assert detected_s == pytest.approx(threshold * period_s + timeout_s - after_probe_s)
    assert (threshold - 1) * period_s + timeout_s <= detected_s
    assert detected_s <= threshold * period_s + timeout_s


def test_probe_events_say_what_failed_and_how_often() -> None:
    async def scenario(world: World) -> None:
        world.add(bound(containers=(PROBED,)))
        await asyncio.sleep(15)
        world.healthy = False
        await asyncio.sleep(20)
        world.healthy = True
        await asyncio.sleep(20)

    events = [event for event in play(scenario).events if event.kind.startswith("probe")]
    assert [(event.kind, event.detail["run"]) for event in events] == [
        ("probe-succeeded", 1),
        ("probe-failed", 1),
        ("probe-failed", 2),
        ("probe-succeeded", 1),
    ]
    assert events[1].detail["probe"] == "readiness"
    assert events[1].detail["reason"] == "refused"


def test_a_failed_liveness_probe_restarts_the_container() -> None:
    async def scenario(world: World) -> None:
        world.add(bound(containers=(LIVE,), termination_grace_period_s=5.0))
        await asyncio.sleep(1)
        world.runtime.deaf.add("echo")
        world.healthy = False
        await asyncio.sleep(29)
        world.healthy = True
        await asyncio.sleep(10)
        assert world.pod().status.containers[0].restart_count == 1

    world = play(scenario)
    signals = [call[2] for call in world.runtime.calls if call[0] == "signal"]
    assert signals == [UP, KILL]
    died = next(event for event in world.events if event.kind == "container-died")
    assert died.detail["reason"] == "Unhealthy"
    assert died.t_ns / 1e9 - world.start_s == pytest.approx(35, abs=0.05)


DELETIONS = [
    # name, deaf to SIGTERM, grace, force, removed after
    ("a pod that heeds SIGTERM goes at once", False, None, False, 0.0),
    ("a deaf pod is killed when its grace period ends", True, 4.0, False, 4.0),
    ("a grace period below the minimum is the minimum", True, 1.0, False, 2.0),
    ("a forced deletion leaves the least grace", True, None, True, 2.0),
]


@pytest.mark.parametrize(("name", "deaf", "grace_s", "force", "takes_s"), DELETIONS)
def test_deletion(
    name: str, deaf: bool, grace_s: float | None, force: bool, takes_s: float
) -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(1)
        world.runtime.remove_s = 0.01
        if deaf:
            world.runtime.deaf.add("echo")
        world.store.apply([deletion(world.pod(), now_s(), grace_s, force=force)])
        assert bool(world.store.list(Pod)) is not force
        while ("remove",) not in world.runtime.calls:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        assert not world.store.list(Pod)
        assert world.since_start() == pytest.approx(1 + takes_s, abs=0.05), name

    world = play(scenario)
    assert world.kinds() == ["container-started", "container-died", "pod-removed"]
    assert world.runtime.calls.count(("remove",)) == 1


def test_forcing_a_deletion_under_way_brings_the_kill_forward() -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(1)
        world.runtime.deaf.add("echo")
        world.store.apply([deletion(world.pod(), now_s())])
        await asyncio.sleep(3)
        world.store.apply([deletion(world.pod(), now_s(), force=True)])
        await asyncio.sleep(2.1)
        assert ("remove",) in world.runtime.calls

    assert play(scenario).runtime.calls.count(("remove",)) == 1


def test_a_pod_deleted_while_it_starts_is_removed_after_that() -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(0.5)
        world.store.apply([deletion(world.pod(), now_s(), force=True)])
        await asyncio.sleep(5)

    calls = play(scenario, start_s=1.0).runtime.calls
    assert [call[0] for call in calls] == ["create", "start", "signal", "remove"]


def test_a_replacement_of_the_same_name_is_another_pod() -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(1)
        old = world.pod()
        world.store.apply([Delete("Pod", "default", "web-0", old.meta.uid), Create(bound())])
        await asyncio.sleep(3)
        assert world.pod().status.ready
        assert world.pod().meta.uid != old.meta.uid

    calls = play(scenario).runtime.calls
    assert [call[0] for call in calls].count("create") == 2
    assert calls.count(("remove",)) == 1


def test_a_sandbox_that_cannot_be_made_is_reported_and_tried_again() -> None:
    async def scenario(world: World) -> None:
        world.runtime.room = 0
        world.add(bound())
        await asyncio.sleep(1)
        status = world.pod().status
        assert (status.phase, status.reason) == ("Pending", "FailedCreatePodSandBox")
        assert "no address is left" in status.message
        world.runtime.room = 1
        await asyncio.sleep(10)
        assert world.pod().status.ready

    play(scenario)


def test_a_container_that_cannot_start_is_reported_and_backs_off() -> None:
    async def scenario(world: World) -> None:
        world.runtime.fail_start = "no such program"
        world.add(bound())
        await asyncio.sleep(1)
        status = world.pod().status
        assert (status.reason, status.message) == ("CrashLoopBackOff", "no such program")

    starts = [call for call in play(scenario).runtime.calls if call[0] == "start"]
    assert len(starts) == 2


@pytest.mark.parametrize(
    ("policy", "exit_code", "phase"),
    [
        ("Never", 0, "Succeeded"),
        ("Never", 3, "Failed"),
        ("OnFailure", 0, "Succeeded"),
        ("OnFailure", 3, "Running"),
        ("Always", 0, "Running"),
    ],
)
def test_restart_policy(policy: str, exit_code: int, phase: str) -> None:
    async def scenario(world: World) -> None:
        world.add(bound(restart_policy=policy))
        await asyncio.sleep(1)
        world.die(exit_code)
        await asyncio.sleep(2)
        assert world.pod().status.phase == phase
        assert (("remove",) in world.runtime.calls) is (phase != "Running")

    play(scenario)


def test_an_evicted_pod_is_stopped_and_keeps_its_reason() -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(1)
        found = world.pod()
        status = replace(found.status, phase="Failed", reason="Evicted", ready=False)
        world.store.apply([Update(replace(found, status=status))])
        await asyncio.sleep(1)
        assert (world.pod().status.phase, world.pod().status.reason) == ("Failed", "Evicted")
        assert ("remove",) in world.runtime.calls

    play(scenario)


def test_a_ready_pod_serves_until_its_containers_end() -> None:
    async def scenario(world: World) -> None:
        world.add(bound(containers=(PROBED,)))
        await asyncio.sleep(1)
        world.runtime.deaf.add("echo")
        world.store.apply([deletion(world.pod(), now_s(), 20.0)])
        await asyncio.sleep(15)
        assert world.pod().status.ready
        await asyncio.sleep(6)

    at_s, ready = play(scenario).ready_history[-1]
    assert at_s == pytest.approx(21, abs=0.02)
    assert not ready


def test_an_api_delay_moves_the_write_and_nothing_else() -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(0.1)
        assert world.kinds() == ["container-started"]
        assert not world.pod().status.ready
        await asyncio.sleep(0.2)
        assert world.pod().status.ready

    play(scenario, delays=Delays(api_s=lambda: 0.25))


def test_a_paused_watch_sees_a_pod_only_when_resumed() -> None:
    async def scenario(world: World) -> None:
        world.kubelet.pause_watch()
        world.add(bound())
        await asyncio.sleep(10)
        assert world.runtime.calls == []
        world.kubelet.resume_watch()
        await asyncio.sleep(0.001)
        assert world.pod().status.ready

    play(scenario)


def test_a_kubelet_that_is_cut_off_goes_on_and_says_later_what_has_happened() -> None:
    async def scenario(world: World) -> None:
        world.add(bound())
        await asyncio.sleep(1)
        before = world.pod().status
        world.kubelet.lose_touch()
        world.die()
        world.add(bound("late"))
        await asyncio.sleep(5)
        assert (world.pod().status, world.pod("late").status.phase) == (before, "Pending")
        assert "container-died" in world.kinds()  # it has seen it, and restarted the container
        lost = world.store.get(Node, "", "n1")
        world.store.apply([Update(replace(lost, ready=False, unreachable=True))])
        world.kubelet.regain_touch()
        await asyncio.sleep(1)
        assert world.pod().status.containers[0].restart_count == 1
        assert world.pod("late").status.phase == "Running"
        assert world.store.get(Node, "", "n1").ready

    play(scenario)


def test_a_kubelet_that_begins_cut_off_says_nothing_before_it_is_heard() -> None:
    async def main() -> None:
        world = World()
        world.kubelet.lose_touch()
        world.kubelet.start()
        world.add(bound())
        await asyncio.sleep(5)
        assert not world.store.get(Node, "", "n1").ready
        assert world.pod().status.phase == "Pending"
        world.kubelet.regain_touch()
        await asyncio.sleep(1)
        assert world.store.get(Node, "", "n1").ready
        assert world.pod().status.phase == "Running"
        await world.kubelet.stop()

    simulate(main)


def test_a_lost_nodes_pods_are_ready_again_once_and_not_before_it() -> None:
    async def main() -> None:
        world = World(heartbeats=Heartbeats(grace_s=50.0))
        world.kubelet.start()
        world.add(bound())
        await asyncio.sleep(12)
        world.kubelet.lose_touch()
        await asyncio.sleep(60)
        lost = replace(world.store.get(Node, "", "n1"), ready=False, unreachable=True)
        silent = replace(world.pod(), status=replace(world.pod().status, ready=False))
        world.store.apply([Update(lost), Update(silent)])
        world.kubelet.regain_touch()
        await asyncio.sleep(1)  # the next heartbeat is 8 s after the silence began, and every 10 s
        assert (world.pod().status.ready, world.store.get(Node, "", "n1").ready) == (False, False)
        world.kubelet.lose_touch()  # it was a short one
        await asyncio.sleep(20)
        assert not world.store.get(Node, "", "n1").ready
        world.kubelet.regain_touch()
        await asyncio.sleep(10)
        assert (world.pod().status.ready, world.store.get(Node, "", "n1").ready) == (True, True)
        assert [ready for _, ready in world.ready_history] == [True, False, True]
        await world.kubelet.stop()

    simulate(main)
