"""How containers end: what they want done before, SIGTERM, and SIGKILL when their time is over; and hooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from signal import SIGKILL, SIGTERM

from testbed.controllers.asking import AskOnce
from testbed.controllers.pod_record import PodRecord
from testbed.model.containers import Container, LifecycleHandler, Probe, SleepAction
from testbed.runtime.interface import ContainerState, PodRuntime

_HOOK_S = 3600.0
"""A hook has no time-out of its own: the grace period ends it, or the container's end."""


class Endings:
    """Of one node's containers; `poll_s` is between looks at those that are being stopped."""

    def __init__(
        self, runtime: PodRuntime, ask: AskOnce, now_s: Callable[[], float], poll_s: float
    ) -> None:
        self._runtime = runtime
        self._ask = ask
        self._now_s = now_s
        self._poll_s = poll_s

    async def hook(self, record: PodRecord, container: Container, handler: LifecycleHandler) -> str:
        """Do what a container wants done when it starts, or before it is stopped; why it failed, or ""."""
        action = handler.action
        if isinstance(action, SleepAction):
            await asyncio.sleep(action.seconds)
        elif action is not None:
            outcome = await self._ask(record, container, Probe(action, timeout_s=_HOOK_S))
            return outcome.message
        return ""

    async def kill(self, uid: str, name: str, message: str) -> ContainerState:
        """SIGKILL for one that must not go on; its last state, and why."""
        self._runtime.signal(uid, name, SIGKILL)
        while self._running(uid, (name,)):
            await asyncio.sleep(self._poll_s)
        return replace(self._runtime.containers(uid)[name], message=message)

    async def end(
        self, names: Collection[str], record: PodRecord, kill_at_s: Callable[[], float]
    ) -> dict[str, ContainerState]:
        """SIGTERM, after what a container wants done before it; then SIGKILL when `kill_at_s` has come, which
        may move; returns the last states.
        """
        uid = record.pod.meta.uid
        hooks = self._pre_stop(names, record)
        self._signal_running(uid, [name for name in names if name not in hooks], SIGTERM)
        while self._running(uid, names):
            for name in [name for name, hook in hooks.items() if hook.done()]:
                hooks.pop(name).result()
                self._signal_running(uid, (name,), SIGTERM)
            if self._now_s() >= kill_at_s():
                self._signal_running(uid, names, SIGKILL)
            await asyncio.sleep(self._poll_s)
        for hook in hooks.values():
            hook.cancel()
        states = self._runtime.containers(uid)
        return {name: states[name] for name in names if name in states}

    def _pre_stop(self, names: Collection[str], record: PodRecord) -> dict[str, asyncio.Task[str]]:
        """What running containers want done before they are stopped, under way."""
        running = self._running(record.pod.meta.uid, names)
        return {
            one.spec.name: asyncio.create_task(self.hook(record, one.spec, before))
            for one in record.every
            if one.spec.name in running
            and (lifecycle := one.spec.lifecycle) is not None
            and (before := lifecycle.pre_stop) is not None
        }

    def _running(self, uid: str, names: Collection[str]) -> list[str]:
        states = self._runtime.containers(uid)
        return [name for name in names if name in states and states[name].running]

    def _signal_running(self, uid: str, names: Collection[str], signum: int) -> None:
        for name in self._running(uid, names):
            self._runtime.signal(uid, name, signum)
