"""Nodes as containers: made before they are wired, gone with their power."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from testbed.errors import MissingFeature, NotFound, TestbedError
from testbed.fabric.machine import Fabric, Machine
from testbed.kernel import netns
from testbed.lab.docker_daemon import Daemon
from testbed.runtime.docker.wanted import Held

Files = Callable[[Machine], Mapping[str, str]]
"""Of a node: path in its container -> file of the lab that it shows."""


class DockerNodes:
    """A lab's machines, where nodes are containers (`Machines`). Those are made by `prepare`, beforehand."""

    def __init__(self, daemon: Daemon, image: str, files: Files) -> None:
        self._daemon = daemon
        self._image = image
        self._files = files
        self._found = ""
        """The image's id, once it is there."""
        self._ready: dict[str, Held] = {}
        """Made, and not wired yet."""
        self._containers: dict[str, str] = {}
        self._leaving: dict[str, asyncio.Future[Any]] = {}

    async def prepare(self, nodes: Iterable[Machine]) -> None:
        """Make the containers of nodes that have none. Raises MissingFeature, TestbedError."""
        have = {*self._containers, *self._ready}
        lacking = [node for node in nodes if node.name not in have]
        if not lacking:
            return
        self._found = self._found or await self._image_found()
        made = await asyncio.gather(*map(self._make, lacking), return_exceptions=True)
        for one in made:
            if isinstance(one, BaseException):
                raise one

    async def _image_found(self) -> str:
        try:
            return await self._daemon.do(self._daemon.engine.image, self._image, pulled=True)
        except TestbedError as error:
            raise MissingFeature(
                f"the Docker daemon has no image for nodes: {error.message}",
                "`docker pull` or `docker load` it, or name one that is there: runtime.docker.image",
            ) from None

    async def _make(self, node: Machine) -> None:
        if node.name in self._leaving:
            await self._leaving.pop(node.name)
        make, files = self._daemon.engine.node, self._files(node)
        self._ready[node.name] = await self._daemon.do(make, node.name, self._found, files)

    def create(self, machine: Machine) -> int:
        """A new machine's namespace: a descriptor, the caller's from here on."""
        if machine.kind != "node":
            return netns.create()
        held = self._ready.pop(machine.name)
        self._containers[machine.name] = held.ident
        return held.namespace

    def wired(self, fabric: Fabric) -> None:
        """The daemon knows of no cables."""

    def container(self, name: str) -> str:
        """The id of a node's container. Raises NotFound."""
        if name not in self._containers:
            raise NotFound(f"{name} is no container")
        return self._containers[name]

    async def kill(self, name: str) -> None:
        """As if its power were cut: when it returns, nothing of its container is left."""
        ident = self._containers.pop(name, None)
        if ident is not None:
            await self._daemon.do(self._daemon.engine.remove, ident)

    def remove(self, name: str) -> None:
        """The machine is no more; nobody waits for the end of its container, but one that takes its name."""
        ident = self._containers.pop(name, None)
        if ident is not None:
            self._leaving[name] = self._daemon.later(self._daemon.engine.remove, ident)
