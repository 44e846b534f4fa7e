"""A node's attachments to one network: its list's plug-ins in order, and the results that they gave.

Source: the CNI specification 1.1.0, section 3 (lifecycle and ordering); libcni for the files of the cache.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from testbed.cni.node_world import NodeWorld
from testbed.cni.plugins import Plugins
from testbed.cni.protocol import (
    ADD,
    CHECK,
    DEL,
    GC,
    STATUS,
    VALID_ATTACHMENTS,
    Container,
    Json,
    Network,
    PluginFailed,
    configuration,
    environment,
)
from testbed.model.conflist import NetworkList, Plugin, at_least

_KIND = "cniCacheV1"
_T = TypeVar("_T")


class Attachments:
    """One node's. Each operation is a few processes, one after the other."""

    def __init__(self, listed: NetworkList, plugins: Plugins, world: NodeWorld) -> None:
        self._listed = listed
        self._plugins = plugins
        self._world = world
        self._results = world.state / "results"

    async def version(self) -> str:
        """The version of the specification in use. Raises MissingFeature, PluginFailed."""
        return await self._plugins.version(self._world)

    async def add(self, container: Container) -> Json:
        """Attach; returns the last plug-in's result. Raises PluginFailed, when everything is undone again."""
        result: Json | None = None
        try:
            for plugin in self._listed.plugins:
                result = await self._call(ADD, plugin, container, prevResult=result)
        except PluginFailed:
            # Also of those that were not reached; what they say now would hide what was wrong.
            with suppress(PluginFailed):
                await self._undo(container, result)
            raise
        assert result is not None
        self._keep(container, result)
        return result

    async def delete(self, container: Container) -> None:
        """Detach; what is not there any more is no error. Raises PluginFailed."""
        await self._undo(container, self._cached(container))
        self._file(container).unlink(missing_ok=True)

    async def check(self, container: Container) -> None:
        """Let every plug-in look at what it made, where the list lets it. Raises PluginFailed."""
        result = self._cached(container)
        version = await self.version()
        if result is None or self._listed.disable_check or not at_least(version, "0.4.0"):
            return
        for plugin in self._listed.plugins:
            await self._call(CHECK, plugin, container, prevResult=result)

    async def collect(self, valid: Iterable[Container]) -> None:
        """Detach all that was attached and is not among `valid`; then let plug-ins of 1.1.0 look for more.

        Raises PluginFailed for the first that failed, after all were asked.
        """
        kept = {(one.id, one.interface) for one in valid}
        failures: list[PluginFailed] = []
        for container in list(self._all_cached()):
            if (container.id, container.interface) not in kept:
                try:
                    await self.delete(container)
                except PluginFailed as failed:
                    failures.append(failed)
        if at_least(await self.version(), "1.1.0") and not self._listed.disable_gc:
            valid_now = [{"containerID": name, "ifname": link} for name, link in sorted(kept)]
            told = dict.fromkeys(VALID_ATTACHMENTS, valid_now)
            for plugin in self._listed.plugins:
                try:
                    await self._call(GC, plugin, None, **told)
                except PluginFailed as failed:
                    failures.append(failed)
        if failures:
            raise failures[0]

    async def status(self) -> None:
        """Raises PluginFailed where a plug-in can attach nothing now; before 1.1.0 none says so."""
        if at_least(await self.version(), "1.1.0"):
            for plugin in self._listed.plugins:
                await self._call(STATUS, plugin, None)

    def close(self) -> None:
        """Run nothing more; the thread that was on the node leaves it."""
        self._world.close()

    async def _undo(self, container: Container, result: Json | None) -> None:
        # What plug-ins are told from 0.4.0 on.
        told = result if at_least(await self.version(), "0.4.0") else None
        for plugin in reversed(self._listed.plugins):
            await self._call(DEL, plugin, container, prevResult=told)

    async def _call(
        self, command: str, plugin: Plugin, container: Container | None, **further: Any
    ) -> Json:
        network = Network(self._listed.name, await self.version())
        config = configuration(plugin, network, container, **further)
        variables = environment(command, self._plugins.path, container)
        executable = self._plugins.executables[plugin["type"]]
        async with self._plugins.slots:
            return await self._on_node(lambda: self._world.run(executable, variables, config))

    async def _on_node(self, work: Callable[[], _T]) -> _T:
        """Carry out in the node's thread. Cancelled, it still waits: a plug-in under way has descriptors."""
        done = asyncio.get_running_loop().run_in_executor(self._world.executor, work)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            await asyncio.wait([done])
            raise

    # What was attached, in the files that libcni has for it.

    def _file(self, container: Container) -> Path:
        return self._results / f"{self._listed.name}-{container.id}-{container.interface}"

    def _keep(self, container: Container, result: Json) -> None:
        self._results.mkdir(exist_ok=True)
        config = json.dumps(self._listed.plugins).encode()
        row = {
            "kind": _KIND,
            "containerId": container.id,
            "config": base64.b64encode(config).decode(),
            "ifName": container.interface,
            "networkName": self._listed.name,
            "netns": container.netns,
            "cniArgs": [list(pair) for pair in container.args],
            "capabilityArgs": dict(container.capabilities),
            "result": result,
        }
        self._file(container).write_text(json.dumps(row))

    def _cached(self, container: Container) -> Json | None:
        """The result of its ADD; None: there is none, or it has been undone."""
        try:
            row = json.loads(self._file(container).read_text())
        except FileNotFoundError:
            return None
        result: Json = row["result"]
        return result

    def _all_cached(self) -> Iterator[Container]:
        """Those of this network; where their namespaces are is not known any more."""
        for file in sorted(self._results.glob(f"{self._listed.name}-*")):
            row = json.loads(file.read_text())
            if row["networkName"] == self._listed.name:
                args = tuple((key, value) for key, value in row["cniArgs"])
                yield Container(row["containerId"], "", row["ifName"], args, row["capabilityArgs"])
