"""Which version of the store a node's rules hold, and who waits for one."""

from __future__ import annotations

import asyncio


class InForce:
    """What has been heard, what of it is programmed.

    `version` is the store's version whose rules are in force; -1 before the first sync.
    """

    def __init__(self) -> None:
        self.version = -1
        self._heard = -1
        self._concerns = 0
        self._taken = 0
        self._done = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def heard(self, version: int, concerns: int) -> None:
        """All changes up to a version are known, this many of the new ones concern the node."""
        self._heard = version
        self._concerns += concerns
        self._release()

    def taking(self) -> None:
        """A sync takes what has been heard so far."""
        self._taken = self._concerns

    def programmed(self, version: int) -> None:
        """That sync's rules are in force."""
        self.version = version
        self._done = self._taken
        self._release()

    def holds(self, version: int) -> bool:
        """It is programmed, or nothing that came since what is programmed concerns the node."""
        if self.version < 0:
            return False
        idle = self._concerns == self._done
        return version <= (max(self._heard, self.version) if idle else self.version)

    async def wait(self, version: int) -> None:
        """Return when `holds` does. Raises what `end` was told."""
        if not self.holds(version):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((version, waiter))
            await waiter

    def end(self, error: BaseException) -> None:
        """Nothing more will come into force: whoever waits hears why."""
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters = []

    def _release(self) -> None:
        for version, waiter in self._waiters:
            if not waiter.done() and self.holds(version):
                waiter.set_result(None)
        self._waiters = [item for item in self._waiters if not item[1].done()]
