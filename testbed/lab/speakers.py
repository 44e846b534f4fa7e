"""The BGP speakers of a lab: a BIRD on each machine that has one, and the routes that they bring."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from testbed.events import Event, Record
from testbed.ip import IPNetwork
from testbed.lab.bird import Bird
from testbed.podnet.network import Daemon
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess, Processes

_SHOWN = 3


class Speakers:
    """All of one lab's. Each has a folder below `folder`."""

    def __init__(self, folder: Path, processes: Processes, record: Record) -> None:
        self._folder = folder
        self._processes = processes
        self._record = record
        self._birds: dict[str, Bird] = {}
        self._places: dict[str, str] = {}
        """Paths of their namespaces."""
        self._routes: dict[str, dict[IPNetwork, list[str]]] = {}
        """What each machine's kernel has by BIRD: the next hops of each destination."""
        self._watch: LabProcess | None = None
        self._watching: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()
        """Some machine has other routes than before."""

    def configure(self, name: str, namespace: int, daemon: Daemon) -> None:
        """A machine speaks by this from now on; `namespace` is a descriptor of its own."""
        if self._places.get(name, path_of(namespace)) != path_of(namespace):
            self.abandon(name)  # it is another machine under the old name
        if name not in self._birds:
            tell = partial(self._tell, name)
            self._birds[name] = Bird(name, namespace, self._folder / name, self._processes, tell)
            self._listen_to(name, path_of(namespace))
        self._birds[name].configure(daemon)

    def abandon(self, name: str) -> None:
        """A machine has no power."""
        if (bird := self._birds.pop(name, None)) is not None:
            bird.abandon()
            self._forget(name)

    async def end(self, name: str) -> None:
        """A machine is no more."""
        if (bird := self._birds.pop(name, None)) is not None:
            await bird.end()
            self._forget(name)

    def tools(self, name: str) -> str:
        """The folder of a machine's own birdc; "" where it speaks no BGP."""
        return str(self._folder / name / "bin") if name in self._birds else ""

    def missing(self, name: str, awaited: Iterable[IPNetwork]) -> list[IPNetwork]:
        """The destinations that a machine's kernel has no route to by BIRD."""
        have = self._routes.get(name, {})
        return sorted((one for one in awaited if one not in have), key=str)

    def ways(self, name: str, destination: IPNetwork) -> int:
        """By how many next hops a machine's kernel reaches it, as BIRD has said; 0: by none."""
        return len(self._routes.get(name, {}).get(destination, ()))

    @property
    def trouble(self) -> str:
        """What the first BIRD that does not run said last."""
        return next((bird.trouble for bird in self._birds.values() if bird.trouble), "")

    def _listen_to(self, name: str, place: str) -> None:
        self._places[name] = place
        self._routes[name] = {}
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._keep_watching())
        elif self._watch is not None:
            self._ask_for(name)

    def _forget(self, name: str) -> None:
        del self._places[name]
        del self._routes[name]
        if self._watch is not None and self._watch.channel is not None:
            self._watch.channel.send({"forget": name})

    async def _keep_watching(self) -> None:
        """One process for all machines; another one should it end."""
        while True:
            self._watch = await self._processes.spawn("routewatch", {}, "", self._hear)
            for name in self._places:
                self._ask_for(name)
            await self._watch.ended.wait()

    def _ask_for(self, name: str) -> None:
        assert self._watch is not None
        assert self._watch.channel is not None
        known = [[str(network), vias] for network, vias in self._routes[name].items()]
        self._watch.channel.send({"watch": name, "netns": self._places[name], "known": known})

    def _hear(self, message: dict[str, Any]) -> None:
        name = message["machine"]
        if name not in self._routes:
            return
        have = self._routes[name]
        for destination, vias in message["routes"]:
            network = ip_network(destination)
            if not vias:
                kind = "route-withdrawn"
                have.pop(network, None)
            else:
                kind = "route-changed" if network in have else "route-learned"
                have[network] = vias
            self._record(Event(message["t_ns"], "bgp", name, kind, destination, 0, {"via": vias}))
        self.changed.set()

    def _tell(self, name: str, t_ns: int, kind: str, what: str, detail: Any) -> None:
        self._record(Event(t_ns, "bgp", name, kind, what, 0, dict(detail)))
