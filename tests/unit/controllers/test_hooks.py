"""What containers want done when they start and before they stop, and what they wait for, in simulated time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from signal import SIGKILL, SIGTERM

from testbed.controllers.pod_deletion import deletion
from testbed.model.containers import Container, ExecAction, Lifecycle, LifecycleHandler, SleepAction

from .cluster import ECHO
from .simulated import now_s
from .test_kubelet import World, bound, play


def sleeping(seconds: int) -> LifecycleHandler:
    return LifecycleHandler(sleep=SleepAction(seconds))


def with_hooks(
    post_start: LifecycleHandler | None = None, pre_stop: LifecycleHandler | None = None
) -> Container:
    return replace(ECHO, lifecycle=Lifecycle(post_start, pre_stop))


def signals(world: World) -> list[str]:
    return [f"{call[1]} {call[2]}" for call in world.runtime.calls if call[0] == "signal"]


def test_a_container_runs_once_its_start_is_over() -> None:
    async def scenario(world: World) -> None:
        world.add(bound(containers=(with_hooks(sleeping(3)),)))
        await asyncio.sleep(2.9)
        assert world.pod().status.phase == "Pending"
        await asyncio.sleep(0.2)
        assert world.pod().status.ready

    play(scenario)


def test_a_start_that_fails_ends_the_container() -> None:
    async def scenario(world: World) -> None:
        world.healthy = False
        command = LifecycleHandler(exec=ExecAction(("false",)))
        world.add(bound(containers=(with_hooks(command),), restart_policy="Never"))
        await asyncio.sleep(1)
        status = world.pod().status
        assert (status.phase, status.containers[0].exit_code) == ("Failed", 137)
        assert status.containers[0].message == "PostStartHookError: refused"

    play(scenario)


def test_sigterm_comes_after_the_last_will() -> None:
    async def scenario(world: World) -> None:
        plain = replace(ECHO, name="plain")
        world.add(bound(containers=(with_hooks(pre_stop=sleeping(5)), plain)))
        await asyncio.sleep(1)
        world.store.apply([deletion(world.pod(), now_s())])
        await asyncio.sleep(4.9)
        assert signals(world) == [f"plain {int(SIGTERM)}"]
        await asyncio.sleep(0.3)
        assert signals(world) == [f"plain {int(SIGTERM)}", f"echo {int(SIGTERM)}"]

    play(scenario)


def test_a_last_will_has_no_more_than_the_grace_period() -> None:
    async def scenario(world: World) -> None:
        world.add(bound(containers=(with_hooks(pre_stop=sleeping(500)),)))
        await asyncio.sleep(1)
        world.store.apply([deletion(world.pod(), now_s())])
        await asyncio.sleep(29.9)
        assert signals(world) == []
        await asyncio.sleep(0.3)
        assert signals(world) == [f"echo {int(SIGKILL)}"]

    play(scenario)


def test_sidecars_end_last_the_latest_first() -> None:
    async def scenario(world: World) -> None:
        first, second = (replace(ECHO, name=name, restart_policy="Always") for name in ("s1", "s2"))
        world.add(bound(init_containers=(first, second)))
        await asyncio.sleep(1)
        world.store.apply([deletion(world.pod(), now_s())])
        await asyncio.sleep(1)
        assert [line.split()[0] for line in signals(world)] == ["echo", "s2", "s1"]

    play(scenario)


def test_what_is_lacking_is_waited_for() -> None:
    async def scenario(world: World) -> None:
        world.runtime.lacks = 'configmap "settings" not found'
        world.add(bound())
        await asyncio.sleep(1)
        (status,) = world.pod().status.containers
        assert (status.state, status.reason) == ("waiting", "CreateContainerConfigError")
        world.runtime.lacks = ""
        await asyncio.sleep(10)
        assert world.pod().status.ready
        assert world.pod().status.containers[0].restart_count == 0

    play(scenario)
