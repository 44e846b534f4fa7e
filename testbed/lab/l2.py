"""Provider `l2`: a speaker on each node; the one whose turn it is answers ARP and neighbour solicitations."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from testbed.clock import now_ns
from testbed.edge.balanced import Balanced
from testbed.edge.l2 import Candidates, candidates
from testbed.errors import TestbedError
from testbed.events import Event
from testbed.fabric.machine import Fabric
from testbed.fabric.plan import plan
from testbed.model.topology import Topology
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess

if TYPE_CHECKING:
    from testbed.lab.edge_providers import ProviderParts

_RESTART_S = 0.5
"""From a speaker's unforeseen end to the next one's start."""


@dataclass(slots=True)
class _Node:
    """Where a speaker is to run."""

    services: tuple[Candidates, ...] = ()
    process: LabProcess | None = None
    task: asyncio.Task[None] | None = None
    holds: dict[str, str] = field(default_factory=dict)
    """Addresses that it answers for, each with its service."""


class L2Provider:
    """A `Provider`."""

    name = "l2"
    ip_mode = "VIP"
    cleans_up = False

    def __init__(self, parts: ProviderParts) -> None:
        self._parts = parts
        self._settings = parts.setting.topology.load_balancer.l2
        self._fabric: Fabric = plan(parts.setting.topology)
        self._nodes: dict[str, _Node] = {}
        self._starts = 0

    def follow(self, topology: Topology) -> None:
        before, self._fabric = self._fabric, plan(topology)
        for name, node in self._nodes.items():
            node_is_there = any(one.name == name for one in self._fabric.machines)
            if node_is_there and before.wires(name) != self._fabric.wires(name):
                before_it = self._stop(node)  # its sockets are on interfaces that are gone
                self._drop(name, node, "ended")
                self._start(name, node, before_it)
            self._pass_on(node, peers=True)

    def node_started(self, name: str) -> None:
        self._nodes[name] = _Node()
        self._start(name, self._nodes[name])

    def node_stopped(self, name: str) -> None:
        node = self._nodes.pop(name)
        self._stop(node)
        self._drop(name, node, "power")

    def tell(self, who: str, services: tuple[Balanced, ...]) -> None:
        if who in self._nodes:
            node = self._nodes[who]
            node.services = candidates(services)
            self._pass_on(node, peers=False)

    def missing(self, services: tuple[Balanced, ...]) -> str:
        held = {address for node in self._nodes.values() for address in node.holds}
        for one in candidates(services):
            for address in one.addresses:
                if address not in held and any(name in self._nodes for name in one.nodes):
                    return f"a node that answers for {address} ({one.key})"
        return ""

    def view(self) -> Mapping[str, Any]:
        holders: dict[str, list[str]] = {}
        for name, node in self._nodes.items():
            for address in node.holds:
                holders.setdefault(address, []).append(name)
        return {"answeredBy": dict(sorted(holders.items()))}

    async def end(self) -> None:
        for node in self._nodes.values():
            self._stop(node)

    def _start(self, name: str, node: _Node, before: LabProcess | None = None) -> None:
        speaking = self._keep_speaking(name, node, before)
        node.task = asyncio.get_running_loop().create_task(speaking)

    def _stop(self, node: _Node) -> LabProcess | None:
        """Have the speaker end; returns it."""
        if node.task is not None:
            node.task.cancel()
        ending, node.process = node.process, None
        if ending is not None and ending.channel is not None:
            ending.channel.close()  # which ends it
        return ending

    async def _keep_speaking(self, name: str, node: _Node, before: LabProcess | None) -> None:
        """`before`: who has to be gone first, as its port is taken."""
        if before is not None:
            await before.ended.wait()
        machine = self._fabric.machine(name)
        while True:
            self._starts += 1
            config = {
                "node": name,
                "address": str(machine.addresses[0].ip),
                "links": [one.name for one in machine.interfaces],
                "settings": self._settings.model_dump(mode="json", by_alias=True),
                "seed": f"{self._parts.setting.folder.name}/{name}/{self._starts}",
            }
            heard = partial(self._hear, name, node)
            place = path_of(self._parts.namespace(name))
            try:
                node.process = await self._parts.setting.processes.spawn(
                    "l2speaker", config, place, heard
                )
                self._event(now_ns(), name, "speaker-started", "", {"pid": node.process.pid})
                self._pass_on(node, peers=True)
                await node.process.ended.wait()
                said: dict[str, object] = {"code": node.process.code}
            except TestbedError as error:  # no process could be made
                said = {"error": str(error)}
            node.process = None
            self._event(now_ns(), name, "speaker-ended", "", said)
            self._drop(name, node, "ended")
            await asyncio.sleep(_RESTART_S)

    def _pass_on(self, node: _Node, *, peers: bool) -> None:
        if node.process is None or node.process.channel is None:
            return
        message: dict[str, Any] = {"services": [one.to_json() for one in node.services]}
        if peers:
            message["peers"] = {
                machine.name: str(machine.addresses[0].ip)
                for machine in self._fabric.machines
                if machine.kind == "node"
            }
        node.process.channel.send(message)

    def _hear(self, name: str, node: _Node, message: dict[str, Any]) -> None:
        kind, what, detail = message["kind"], message["object"], message["detail"]
        if kind == "announcing":
            node.holds[what] = detail["service"]
            detail = {**detail, "protocol": "layer2"}
        elif kind == "withdrawn":
            node.holds.pop(what, None)
        self._event(message["t_ns"], name, kind, what, detail)
        self._parts.changed.set()

    def _drop(self, name: str, node: _Node, reason: str) -> None:
        """What it held it holds no more, without having said so."""
        for address, service in node.holds.items():
            detail = {"service": service, "reason": reason}
            self._event(now_ns(), name, "withdrawn", address, detail)
        node.holds.clear()
        self._parts.changed.set()

    def _event(
        self, t_ns: int, node: str, kind: str, what: str, detail: Mapping[str, object]
    ) -> None:
        self._parts.setting.record(Event(t_ns, "edge", node, kind, what, 0, detail))
