"""What a cloud's balancer runs: a real HAProxy, or rules of nftables or IPVS and the checks that go with
them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testbed.command import Command
from testbed.edge import cloud_haproxy, cloud_ipvs, cloud_nftables
from testbed.edge.cloud import Check, Plan, Target
from testbed.edge.spread import Spread, spread
from testbed.errors import TestbedError
from testbed.fabric.machine import UPLINK
from testbed.kernel import netns
from testbed.kernel.run import Shell
from testbed.lab.haproxy import Haproxy
from testbed.lab.node_checks import NodeChecks
from testbed.model.cloud import Cloud
from testbed.runtime.netns import path_of
from testbed.runtime.processes import Processes

_LOOK_S = 0.1
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """A node is well now, or not any more."""

    node: str
    check: Check
    up: bool
    reason: str
    service: str = ""
    """"": of every service with the same check."""


Tell = Callable[[Told], None]


@dataclass(frozen=True, slots=True)
class Home:
    """Where a balancer runs: its host's name, the host's namespace, a folder of its own."""

    name: str
    namespace: int
    folder: Path
    processes: Processes


class BalancerProgram(Protocol):
    """What takes connections at the balancer's addresses, which it has already."""

    async def apply(self, plan: Plan) -> str:
        """Make it so; returns what it took, in words. Raises TestbedError."""

    def unasked(self) -> int:
        """How many checks of nodes have had no outcome yet."""

    def ill(self) -> frozenset[tuple[Target, Check]]:
        """Who is not well, by which check."""

    async def end(self) -> None:
        """Take nothing any more."""


class HaproxyBalancer:
    """HAProxy, which checks nodes itself and says what it finds."""

    def __init__(self, home: Home, cloud: Cloud, tell: Tell) -> None:
        place = path_of(home.namespace)
        self._haproxy = Haproxy(home.name, place, home.folder, home.processes, self._hear)
        self._proxy_protocol = cloud.proxy_protocol
        self._tell = tell
        self._plan = Plan()
        self._ill: set[tuple[Target, Check]] = set()
        self._runs = False
        self._unasked = 0
        self._counting: asyncio.Task[None] | None = None

    async def apply(self, plan: Plan) -> str:
        self._plan = plan
        self._ill &= plan.checks
        wanted = cloud_haproxy.configuration(plan, proxy_protocol=self._proxy_protocol)
        if not plan.frontends and not self._runs:
            return "nothing to listen on"
        if not self._runs:
            await self._haproxy.start(wanted)
            self._runs = True
            self._count()
            return "started"
        done = await self._haproxy.apply(wanted)
        if done.why:
            self._count()
        return f"loaded anew: {done.why}" if done.why else f"{done.commands} commands"

    def _count(self) -> None:
        """One that has just begun knows nothing of any node."""
        self._unasked = len(self._plan.checks)
        self._counting = asyncio.create_task(self._until_counted())

    async def _until_counted(self) -> None:
        while self._unasked:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(TestbedError):  # one hands over to the next
                self._unasked = cloud_haproxy.unchecked(await self._haproxy.ask("show stat"))

    def unasked(self) -> int:
        """Until a check fails it takes a node for well."""
        return self._unasked

    def ill(self) -> frozenset[tuple[Target, Check]]:
        return frozenset(self._ill)

    async def end(self) -> None:
        if self._runs:
            await self._haproxy.end()

    def _hear(self, line: str) -> None:
        found = cloud_haproxy.change_of(line, self._plan)
        if found is not None:
            front, target, up, reason = found
            (self._ill.discard if up else self._ill.add)((target, front.check))
            self._tell(Told(target.node, front.check, up, reason, front.service))


class PassingBalancer:
    """Rules in the host's kernel, rewritten by what checks of our own find."""

    def __init__(self, home: Home, spelled: Spelled, tell: Tell) -> None:
        self._shell = Shell(home.namespace)
        self._namespace = home.namespace
        self._spelled = spelled
        self._tell = tell
        self._plan = Plan()
        self._checks = NodeChecks(self._socket, self._hear)
        self._changed = asyncio.Event()
        self._news: list[Told] = []
        self._one_by_one = asyncio.Lock()
        self._following = asyncio.create_task(self._follow())

    async def apply(self, plan: Plan) -> str:
        self._plan = plan
        self._checks.follow(plan.checks, plan.cadence)
        return f"{await self._write()} transactions"

    def unasked(self) -> int:
        return self._checks.unasked()

    def ill(self) -> frozenset[tuple[Target, Check]]:
        return frozenset(self._checks.ill)

    async def end(self) -> None:
        self._following.cancel()
        self._checks.stop()
        await self._shell.run_all(self._spelled.commands(()))
        self._shell.close()

    async def _write(self) -> int:
        async with self._one_by_one:
            commands = self._spelled.commands(spread(self._plan, self._checks.ill))
            await self._shell.run_all(commands)
            self._spelled.done()
            return len(commands)

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            news = tuple(self._news)
            try:
                await self._write()
            except TestbedError:  # the kernel may take it the next time
                asyncio.get_running_loop().call_later(_RETRY_S, self._changed.set)
                continue
            del self._news[: len(news)]
            for told in news:  # now it is so
                self._tell(told)

    def _hear(self, target: Target, check: Check, up: bool, reason: str) -> None:
        self._news.append(Told(target.node, check, up, reason))
        self._changed.set()

    def _socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        with netns.entered(self._namespace):
            made = socket.socket(family, kind)
        made.setblocking(False)
        return made


class Spelled(Protocol):
    """How a state becomes commands, by what the kernel has."""

    def commands(self, state: tuple[Spread, ...]) -> tuple[Command, ...]:
        """From what there is to this state."""

    def done(self) -> None:
        """The commands have been run."""


class InNftables:
    """The rules that are in force, of nftables."""

    def __init__(self) -> None:
        self._have: cloud_nftables.Rules | None = None
        self._next: cloud_nftables.Rules | None = None

    def commands(self, state: tuple[Spread, ...]) -> tuple[Command, ...]:
        self._next = cloud_nftables.rules(state, UPLINK)
        return cloud_nftables.commands(self._have, self._next, UPLINK)

    def done(self) -> None:
        self._have = self._next


class InIpvs:
    """The virtual servers that are in force."""

    def __init__(self) -> None:
        self._have: cloud_ipvs.Services = {}
        self._next: cloud_ipvs.Services = {}

    def commands(self, state: tuple[Spread, ...]) -> tuple[Command, ...]:
        self._next = cloud_ipvs.services(state)
        return cloud_ipvs.commands(self._have, self._next)

    def done(self) -> None:
        self._have = self._next


def program(home: Home, cloud: Cloud, tell: Tell) -> BalancerProgram:
    """The program that a topology asks for."""
    if cloud.program == "haproxy":
        return HaproxyBalancer(home, cloud, tell)
    return PassingBalancer(home, InNftables() if cloud.program == "nftables" else InIpvs(), tell)
