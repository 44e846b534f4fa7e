"""The Docker daemon as a lab's control plane asks it: its event loop never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from testbed.lab import docker_side
from testbed.runtime.docker.outside import Outside

_AT_ONCE = 4
"""More requests than this make a daemon slower, not faster."""
P = ParamSpec("P")
T = TypeVar("T")


class Daemon:
    """The daemon, for one lab."""

    def __init__(self, folder: Path, reach: Outside) -> None:
        from testbed.runtime.docker.engine import Engine  # only these labs pay for the SDK

        side = docker_side.of(folder)
        assert side is not None
        self.engine = Engine(side.url, side.owner, reach)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "docker")

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a blocking method of the engine returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def made(self, undo: Callable[[T], None], work: Callable[..., T], *args: Any) -> T:
        """What a method makes. Where nobody waits for it any more, it is undone as soon as it is there."""
        making = asyncio.ensure_future(self.do(work, *args))

        def undone(done: asyncio.Future[T]) -> None:
            if done.exception() is None:
                undo(done.result())

        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(undone)
            raise

    def later(self, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Begun now, awaited by nobody, or by somebody else."""
        return asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args))
