"""What `pod_lifecycle` decides is done: each action in a task of its own; what comes of it is posted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from testbed.controllers.endings import Endings
from testbed.controllers.pod_record import (
    CreateSandbox,
    Happening,
    PodRecord,
    Relisted,
    SandboxCreated,
    SandboxFailed,
    SandboxRemoved,
    StartContainer,
    Started,
    StartFailed,
    StopContainer,
    StopPod,
)
from testbed.errors import TestbedError
from testbed.model.containers import Container
from testbed.model.objects.pods import Pod
from testbed.runtime.interface import NotYet, PodRuntime

OfRuntime = CreateSandbox | StartContainer | StopContainer | StopPod
"""The actions that are a runtime's."""


class PodActions:
    """Those of one node. `post` is told what came of them, by the pod's uid."""

    def __init__(
        self, runtime: PodRuntime, endings: Endings, post: Callable[[str, Happening], None]
    ) -> None:
        self._runtime = runtime
        self._endings = endings
        self._post = post
        self._kill_at_s: dict[str, float] = {}
        """When what is left of a pod that is being stopped gets SIGKILL, by uid."""
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, record: PodRecord, action: OfRuntime) -> None:
        """Do it, beside all others."""
        match action:
            case CreateSandbox():
                self._spawn(self._create_sandbox(record.pod))
            case StartContainer(container):
                self._spawn(self._start_container(record, container))
            case StopContainer(name, kill_at_s):
                self._spawn(self._stop_container(record, name, kill_at_s))
            case StopPod(kill_at_s):
                uid = record.pod.meta.uid
                under_way = uid in self._kill_at_s
                self._kill_at_s[uid] = kill_at_s
                if not under_way:
                    self._spawn(self._stop_pod(record))

    async def stop(self) -> None:
        """Leave everything as it is."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()  # an unexpected exception is our bug: let the event loop show it

    async def _create_sandbox(self, pod: Pod) -> None:
        happening: Happening
        try:
            happening = SandboxCreated(await self._runtime.create_sandbox(pod))
        except TestbedError as error:
            happening = SandboxFailed(str(error))
        self._post(pod.meta.uid, happening)

    async def _start_container(self, record: PodRecord, container: Container) -> None:
        uid, name = record.pod.meta.uid, container.name
        happening: Happening
        try:
            state = await self._runtime.start_container(record.pod, container)
            after = container.lifecycle and container.lifecycle.post_start
            if (
                state.running
                and after
                and (why := await self._endings.hook(record, container, after))
            ):
                state = await self._endings.kill(uid, name, f"PostStartHookError: {why}")
            happening = Started(name, state)
        except NotYet as error:
            happening = StartFailed(name, str(error), lacks=True)
        except TestbedError as error:
            happening = StartFailed(name, str(error))
        self._post(uid, happening)

    async def _stop_container(self, record: PodRecord, name: str, kill_at_s: float) -> None:
        uid = record.pod.meta.uid
        self._post(uid, Relisted(await self._endings.end((name,), record, lambda: kill_at_s)))

    async def _stop_pod(self, record: PodRecord) -> None:
        uid = record.pod.meta.uid
        names = tuple(self._runtime.containers(uid))
        sidecars = tuple(one.name for one in record.pod.spec.init_containers if one.sidecar)
        others = tuple(name for name in names if name not in sidecars)

        def kill_at_s() -> float:
            return self._kill_at_s[uid]

        self._post(uid, Relisted(await self._endings.end(others, record, kill_at_s)))
        for name in reversed(sidecars):  # once the others need them no more, the last first
            if name in names:
                self._post(uid, Relisted(await self._endings.end((name,), record, kill_at_s)))
        await self._runtime.remove_sandbox(uid)
        del self._kill_at_s[uid]
        self._post(uid, SandboxRemoved())
