"""A process that is part of a node's proxy: commands whose first word is its name go to it, not to a shell.

It is started when it is first needed, and again when it has ended; then it knows nothing, which the loop
finds out by reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.command import Command
from testbed.errors import CommandFailed
from testbed.kernel.run import Shell
from testbed.proxy.access import NodeAccess
from testbed.runtime.processes import LabProcess, Processes

RESTART_S = 0.1
"""From a companion's unforeseen end to the sync that starts another one."""
_ENDED = 137
"""Code of a companion that nobody told to end."""


@dataclass(frozen=True, slots=True)
class CompanionSpec:
    """What a back end needs beside rules: `name` is its commands' first word, `main` as in `lab.mains`."""

    name: str
    main: str
    config: Mapping[str, Any]


class Companion:
    """One node's. Commands keep their order, whoever they are for.

    A command for it is (name, verb, …): standard input goes along, and its answer is printed; what follows the
    verb is a command of the shell, whose output comes behind the answer.
    """

    def __init__(
        self,
        spec: CompanionSpec,
        shell: Shell,
        spawn: Callable[[Callable[[dict[str, Any]], None]], Awaitable[LabProcess]],
        died: Callable[[int], Awaitable[object]],
    ) -> None:
        self._spec = spec
        self._shell = shell
        self._spawn = spawn
        self._died = died
        self._lock = asyncio.Lock()
        self._process: LabProcess | None = None
        self._watch: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_id = 0
        self._standing: dict[str, str] = {}

    async def run_all(self, commands: Sequence[Command]) -> None:
        """Run commands one after the other. Raises CommandFailed, and then the rest is not run."""
        for command in commands:
            if command.argv[0] == self._spec.name:
                await self.output(command)
            else:
                await self._shell.run_all([command])

    async def output(self, command: Command) -> str:
        """What a command prints. Raises CommandFailed."""
        if command.argv[0] != self._spec.name:
            return await self._shell.output(command)
        _, verb, *rest = command.argv
        answer = await self.ask(verb, command.stdin)
        return answer + (await self._shell.output(Command(tuple(rest))) if rest else "")

    async def stand(self, verb: str, text: str) -> None:
        """Order something now, and of every process that takes this one's place. Raises CommandFailed."""
        self._standing[verb] = text
        await self.ask(verb, text)

    async def ask(self, verb: str, text: str = "") -> str:
        """The process's answer. Raises CommandFailed where it refuses, or ends before it answers."""
        async with self._lock:
            process = self._process
            if process is None or not process.running:
                process = await self._start()
        self._last_id += 1
        ident = self._last_id
        waiter: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[ident] = waiter
        assert process.channel is not None
        process.channel.send({"id": ident, "do": verb, "text": text})
        ended = asyncio.ensure_future(process.ended.wait())
        try:
            await asyncio.wait((waiter, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
            del self._answers[ident]
        if not waiter.done():
            raise CommandFailed(f"{self._spec.name} {verb}", process.code or _ENDED, "it ended")
        answer = waiter.result()
        if "error" in answer:
            raise CommandFailed(f"{self._spec.name} {verb}", 1, answer["error"])
        return str(answer["text"])

    async def end(self) -> None:
        """End the process; the next command starts another one."""
        process, self._process = self._process, None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if process is not None:
            await process.end()

    async def _start(self) -> LabProcess:
        process = self._process = await self._spawn(self._hear)
        if not process.running:
            raise CommandFailed(self._spec.name, process.code or _ENDED, "it ended at its start")
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.create_task(self._look_after(process))
        assert process.channel is not None
        for verb, text in self._standing.items():
            process.channel.send({"id": 0, "do": verb, "text": text})
        return process

    async def _look_after(self, process: LabProcess) -> None:
        await process.ended.wait()
        await asyncio.sleep(RESTART_S)
        self._watch = None
        await self._died(process.code or 0)

    def _hear(self, message: dict[str, Any]) -> None:
        waiter = self._answers.get(message.get("id", 0))
        if waiter is not None and not waiter.done():
            waiter.set_result(message)


class Companions:
    """Those of a lab's nodes; there are none where the mode is rules and nothing else (`spec` is None)."""

    def __init__(self, spec: CompanionSpec | None, processes: Processes) -> None:
        self._spec = spec
        self._processes = processes
        self._of_node: dict[str, list[Companion]] = {}

    def access(
        self, node: str, netns: str, shell: Shell, died: Callable[[int], Awaitable[object]]
    ) -> NodeAccess:
        """How a proxy loop reaches its node (`netns`: a path), through a companion of its own if need be.

        `died`: called with its code after a companion has ended by itself.
        """
        spec = self._spec
        if spec is None:
            return NodeAccess(shell.run_all, shell.output, shell.executor)

        async def spawn(hear: Callable[[dict[str, Any]], None]) -> LabProcess:
            return await self._processes.spawn(spec.main, dict(spec.config), netns, hear)

        one = Companion(spec, shell, spawn, died)
        self._of_node.setdefault(node, []).append(one)
        return NodeAccess(one.run_all, one.output, shell.executor, one.end)

    async def end(self, node: str) -> None:
        """End a node's."""
        for one in self._of_node.pop(node, []):
            await one.end()

    def items(self) -> list[tuple[str, Companion]]:
        """Every companion with its node."""
        return [(node, one) for node, several in self._of_node.items() for one in several]
