"""Who is picked how often, counted while somebody watches."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from testbed.errors import CommandFailed, TestbedError
from testbed.lab.cluster import Cluster
from testbed.lab.companion import Companion
from testbed.lab.control import Client
from testbed.lab.node import LabNode
from testbed.proxy.userspace_picks import counts
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess, Processes

Pick = tuple[str, int, str, str]
"""(node, IP's number of the protocol, service address or "" where the node does not say, endpoint)."""

_END_S = 1.0
"""For its last report."""


class Meter:
    """Runs while a client that asked for it is there; what was counted stays."""

    def __init__(self, cluster: Cluster, processes: Processes) -> None:
        self.lost = 0
        self._cluster = cluster
        self._processes = processes
        self._process: LabProcess | None = None
        self._nodes: list[LabNode] = []
        self._watchers: dict[int, asyncio.Task[None]] = {}
        self._picks: Counter[Pick] = Counter()
        self._proxies: dict[Companion, dict[tuple[int, str], int]] = {}
        """What each proxy that is a process said last."""
        self._lock = asyncio.Lock()

    async def watch(self, client: Client) -> None:
        """Count from now on, for as long as this client is there."""
        if id(client) not in self._watchers:
            self._watchers[id(client)] = asyncio.create_task(self._until_gone(client))
        async with self._lock:
            if proxies := self._cluster.companions.items():
                # They dial anew: conntrack knows how a client came to its node's proxy, and no more.
                await self._end()
                await self._ask(proxies)
            else:
                await self._listen()

    def picks(self) -> list[list[Any]]:
        """Rows of node, protocol, service address, endpoint, connections."""
        return [[*pick, count] for pick, count in self._picks.items()]

    async def _listen(self) -> None:
        """Hear every node that is there now."""
        nodes = self._cluster.nodes
        running = self._process is not None and self._process.running
        if running and self._nodes == list(nodes.values()):
            return
        await self._end()
        config = {"nodes": {name: path_of(node.namespace) for name, node in nodes.items()}}
        self._nodes = list(nodes.values())
        process = await self._processes.spawn("meter", config, on_message=self._hear)
        if not process.running:
            raise TestbedError(f"counting connections ended at its start with code {process.code}")
        self._process = process

    def _hear(self, message: dict[str, Any]) -> None:
        for node, protocol, address, endpoint, count in message.get("picks", ()):
            self._picks[node, protocol, address, endpoint] += count
        self.lost += message.get("lost", 0)

    async def _ask(self, proxies: Iterable[tuple[str, Companion]]) -> None:
        """Add what proxies that are processes picked since they were asked last."""
        asked, self._proxies = self._proxies, {}
        for node, proxy in proxies:
            try:
                now = counts(await proxy.ask("count"))
            except CommandFailed:  # it has just ended: the one in its place counts from zero
                continue
            for (protocol, endpoint), count in now.items():
                before = asked.get(proxy, {}).get((protocol, endpoint), 0)
                self._picks[node, protocol, "", endpoint] += (
                    count - before if count >= before else count
                )
            self._proxies[proxy] = now

    async def _until_gone(self, client: Client) -> None:
        await client.gone.wait()
        del self._watchers[id(client)]
        async with self._lock:
            if self._watchers:
                return
            await self._end()
            for proxy in self._proxies:
                with suppress(CommandFailed):
                    await proxy.ask("count", "off")
            self._proxies = {}

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.end(_END_S)
