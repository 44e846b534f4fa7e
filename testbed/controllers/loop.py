"""The one generic loop: watch the store, coalesce, ask each controller, apply what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from testbed.controllers.decision import Controller
from testbed.controllers.fresh_writes import apply_fresh
from testbed.controllers.informer import Informer
from testbed.controllers.timing import NO_DELAYS, Delays
from testbed.store import Change, Store

_REST = 9.0
"""After a reconcile a controller rests this many times as long as it took, so that a thousand pods
that start one by one cost it a tenth of a CPU at most. A change after a rest is seen at once."""
_LONGEST_REST_S = 1.0
"""By then the changes of a large cluster are many enough to be worth one look."""


class ControllerLoop:
    """Runs controllers on the event loop that is running when `start` is called.

    Each controller has a task and a watch of its own, so that one may be delayed or paused without
    the others. All changes of one turn of the event loop lead to one call of `reconcile`.
    """

    def __init__(
        self,
        store: Store,
        controllers: Sequence[Controller],
        now_s: Callable[[], float],
        delays: Delays = NO_DELAYS,
    ) -> None:
        self._store = store
        self._controllers = tuple(controllers)
        self._now_s = now_s
        self._delays = delays
        self._informers: dict[str, Informer] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; every controller is asked once at once."""
        for controller in self._controllers:
            dirty = asyncio.Event()
            dirty.set()
            informer = self._watch(controller, dirty)
            self._informers[controller.name] = informer
            work = self._run(controller, informer, dirty)
            task = asyncio.create_task(work, name=controller.name)
            task.add_done_callback(_show_bugs)
            self._tasks.append(task)

    async def stop(self) -> None:
        """End all controllers."""
        for informer in self._informers.values():
            informer.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def pause(self, controller: str) -> None:
        """Let a controller see no change until `resume`."""
        self._informers[controller].pause()

    def resume(self, controller: str) -> None:
        """Show a paused controller what it missed."""
        self._informers[controller].resume()

    def _watch(self, controller: Controller, dirty: asyncio.Event) -> Informer:
        kinds = {kind.kind for kind in controller.watches}

        def changed(changes: tuple[Change, ...]) -> None:
            if any(change.object.kind in kinds for change in changes):
                dirty.set()

        later = asyncio.get_running_loop().call_later
        return Informer(self._store, changed, later, self._now_s, self._delays.watch_s)

    async def _run(self, controller: Controller, informer: Informer, dirty: asyncio.Event) -> None:
        wake_at_s: float | None = None
        written = 0
        while True:
            await self._wait(dirty, wake_at_s)
            if not controller.prompt:
                await asyncio.sleep(0)  # whom a prompt controller has woken goes first
            dirty.clear()
            snapshot = informer.snapshot()
            if snapshot.resource_version < written:
                wake_at_s = None
                continue  # its own writes are still on their way to it: it would repeat them
            began_s = self._now_s()
            writes, wake_at_s = controller.reconcile(snapshot, began_s)
            took_s = self._now_s() - began_s
            if writes:
                if self._delays.api_s is not None:
                    await asyncio.sleep(self._delays.api_s())
                written = max(written, apply_fresh(self._store, writes))
            # What it has only put off goes on when others have had their turn.
            is_late = wake_at_s is not None and wake_at_s <= began_s
            await asyncio.sleep(0 if is_late else min(_REST * took_s, _LONGEST_REST_S))

    async def _wait(self, dirty: asyncio.Event, wake_at_s: float | None) -> None:
        timeout_s = None if wake_at_s is None else max(0.0, wake_at_s - self._now_s())
        try:
            async with asyncio.timeout(timeout_s):
                await dirty.wait()
        except TimeoutError:
            return


def _show_bugs(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.result()  # a controller never ends by itself: let the event loop show the exception
