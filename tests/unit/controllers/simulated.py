"""Simulated time and a runtime without processes: the kubelet's whole world, in microseconds."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from signal import SIGKILL, SIGTERM
from typing import Any, TypeVar

from testbed.errors import OutOfTimeOrRoom
from testbed.model.containers import Container
from testbed.model.objects.pods import Pod
from testbed.runtime.interface import ContainerState, Executed, NotYet

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """Instead of waiting, moves the loop's clock on."""

    loop: SimulatedLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("nothing will ever happen again")
            self.loop.clock_s += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by waiting, and then at once."""

    def __init__(self) -> None:
        self.clock_s = 1000.0
        self.bugs: list[dict[str, Any]] = []
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(lambda _, context: self.bugs.append(context))

    def time(self) -> float:
        return self.clock_s


def simulate(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end in simulated time; what a task or callback raised unnoticed fails the test."""
    loop = SimulatedLoop()
    try:
        result = loop.run_until_complete(scenario())
        assert not loop.bugs, loop.bugs
        return result
    finally:
        loop.close()


def now_ns() -> int:
    """Nanoseconds of the simulated clock."""
    return round(asyncio.get_running_loop().time() * 1e9)


def now_s() -> float:
    return asyncio.get_running_loop().time()


class FakeRuntime:
    """Implements `PodRuntime`: containers are entries of a dict, and the test decides their fate.

    `deaf` containers ignore SIGTERM; starting one takes `start_s`, removing a sandbox
    `remove_s`; every call is in `calls`.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self.start_s = start_s
        self.deaf: set[str] = set()
        self.room = 1000
        self.remove_s = 0.0
        self.fail_start = ""
        self.lacks = ""
        self.calls: list[tuple[str, ...]] = []
        self._pods: dict[str, dict[str, ContainerState]] = {}
        self._next_pid = 100

    async def create_sandbox(self, pod: Pod) -> tuple[str, ...]:
        self.calls.append(("create", pod.meta.name))
        if self.room == 0:
            raise OutOfTimeOrRoom("no address is left in 10.244.1.0/24")
        self.room -= 1
        self._pods[pod.meta.uid] = {}
        return (f"10.244.1.{len(self._pods) + 1}",)

    async def start_container(self, pod: Pod, container: Container) -> ContainerState:
        self.calls.append(("start", pod.meta.name, container.name))
        if self.lacks:
            raise NotYet(self.lacks)
        if self.fail_start:
            raise OutOfTimeOrRoom(self.fail_start)
        if self.start_s:
            await asyncio.sleep(self.start_s)
        self._next_pid += 1
        state = ContainerState(running=True, pid=self._next_pid, started_ns=now_ns())
        self._pods[pod.meta.uid][container.name] = state
        return state

    def containers(self, pod_uid: str) -> dict[str, ContainerState]:
        return dict(self._pods.get(pod_uid, {}))

    def signal(self, pod_uid: str, container: str, signum: int) -> None:
        self.calls.append(("signal", container, str(int(signum))))
        if signum == SIGKILL or (signum == SIGTERM and container not in self.deaf):
            self.end(pod_uid, container, 137 if signum == SIGKILL else 0)

    def end(self, pod_uid: str, container: str, exit_code: int) -> None:
        """The container's process ends by itself."""
        state = self._pods[pod_uid][container]
        self._pods[pod_uid][container] = replace(
            state, running=False, finished_ns=now_ns(), exit_code=exit_code
        )

    async def execute(
        self, pod: Pod, container: Container, argv: tuple[str, ...], timeout_s: float
    ) -> Executed:
        raise AssertionError("the test's own `ask` answers for every probe and hook")

    async def remove_sandbox(self, pod_uid: str) -> None:
        self.calls.append(("remove",))
        await asyncio.sleep(self.remove_s)
        if self._pods.pop(pod_uid, None) is not None:
            self.room += 1

    def node_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        raise AssertionError("no test of the kubelet opens a socket")
