"""A node and its time without either: rules in dictionaries, a clock that jumps to what comes next."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence

from testbed.command import Command
from testbed.errors import CommandFailed
from tests.unit.proxy.restore_interpreter import apply, as_text, empty_tables

RESTORE_S = 0.25
"""How long the virtual kernel takes for a restore."""


class VirtualClock:
    """Time passes only while the loop waits and a test lets it; `at` says what happens when."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.flows = False
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time_s, len(self._agenda), action))

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> None:
        until_s = None if timeout_s is None else self.now_s + timeout_s
        while not event.is_set():
            await asyncio.sleep(0)
            if not self.flows or event.is_set():
                continue
            if self._agenda and (until_s is None or self._agenda[0][0] <= until_s):
                self.now_s, _, action = heapq.heappop(self._agenda)
                action()
            elif until_s is not None:
                self.now_s = until_s
                return


class VirtualNode:
    """A kernel that understands iptables-restore, iptables-save and conntrack."""

    def __init__(self, clock: VirtualClock) -> None:
        self.tables = empty_tables()
        self.commands: list[Command] = []
        self.failures = 0
        """How many of the next restores fail, half-way."""
        self.flows = ""
        self._clock = clock

    async def run(self, commands: Sequence[Command]) -> None:
        for command in commands:
            self.commands.append(command)
            if command.argv[0] == "conntrack":
                raise CommandFailed(str(command), 1, "0 flow entries have been deleted.")
            self._clock.now_s += RESTORE_S
            if self.failures:
                self.failures -= 1
                half = command.stdin.split("COMMIT\n")[0] + "COMMIT\n"
                self.tables, _ = apply(self.tables, [Command(command.argv, half)])
                raise CommandFailed(
                    str(Command(command.argv)), 4, "Resource temporarily unavailable"
                )
            self.tables, _ = apply(self.tables, [command])

    async def read(self, command: Command) -> str:
        return self.flows if command.argv[0] == "conntrack" else as_text(self.tables)
