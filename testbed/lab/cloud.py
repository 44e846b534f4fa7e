"""Provider `cloud`: a host outside the cluster that has the addresses of load balancers, and leads to nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from ipaddress import ip_interface
from typing import TYPE_CHECKING, Any

from testbed.clock import now_ns
from testbed.edge.balanced import Balanced
from testbed.edge.cloud import IP_MODES, Plan, plan
from testbed.edge.provider import CONTROL_PLANE
from testbed.edge.spread import spread
from testbed.errors import TestbedError
from testbed.events import Event
from testbed.fabric.machine import UPLINK_INDEX
from testbed.kernel import addresses, netlink, netns
from testbed.lab.cloud_programs import BalancerProgram, Home, Told, program
from testbed.model.objects.nodes import Node
from testbed.model.topology import Topology
from testbed.store import Change

if TYPE_CHECKING:
    from testbed.lab.edge_providers import ProviderParts

_RETRY_S = 1.0


class CloudProvider:
    """A `Provider`. Of services it hears from the API server; what becomes of nodes it finds out by itself."""

    name = "cloud"
    cleans_up = True

    def __init__(self, parts: ProviderParts) -> None:
        self._cloud = parts.setting.topology.load_balancer.cloud
        self._parts = parts
        self._program: BalancerProgram | None = None
        self._services: tuple[Balanced, ...] = ()
        self._plan = Plan()
        self._addresses: frozenset[str] = frozenset()
        self._trouble = ""
        self._due = asyncio.Event()
        self._begun = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        parts.setting.store.watch(self._changed)

    @property
    def ip_mode(self) -> str:
        return IP_MODES[self._cloud.program]

    def follow(self, topology: Topology) -> None:
        """The host stays the same one as long as the lab runs."""
        if self._main is None:
            host = self._cloud.host
            parts = self._parts
            folder = parts.setting.folder / "balancer"
            home = Home(host, parts.namespace(host), folder, parts.setting.processes)
            self._program = program(home, self._cloud, self._tell)
            self._main = asyncio.create_task(self._follow())

    def node_started(self, name: str) -> None:
        """Its health checks tell."""

    def node_stopped(self, name: str) -> None:
        """Its health checks tell."""

    def tell(self, who: str, services: tuple[Balanced, ...]) -> None:
        if who == CONTROL_PLANE:
            self._services = services
            self._due.set()

    def missing(self, services: tuple[Balanced, ...]) -> str:
        """It is asked first when nodes have their rules. Earlier checks would fail, and be repeated late."""
        self._begun.set()
        host = self._cloud.host
        if self._trouble:
            return f"the balancer on {host}: {self._trouble}"
        if self._program is None or self._due.is_set() or self._wanted() != self._plan:
            return f"the balancer on {host}"
        if unasked := self._program.unasked():
            checks = "check" if unasked == 1 else f"{unasked} checks"
            return f"the first {checks} of nodes by {host}"
        return next(self._unexpected(services), "")

    def _unexpected(self, services: tuple[Balanced, ...]) -> Iterator[str]:
        """Nodes that are well, and could take traffic, but for what the balancer knows."""
        assert self._program is not None
        ready = {
            node.meta.name for node in self._parts.setting.store.snapshot().list(Node) if node.ready
        }
        expected = {service.key: ready.intersection(service.nodes) for service in services}
        ill = self._program.ill()
        for front in self._plan.frontends:
            for target in front.targets:
                if target.node in expected.get(front.service, ()) and (target, front.check) in ill:
                    yield f"{self._cloud.host} to find {target.node} well for {front.service}"

    def view(self) -> Mapping[str, Any]:
        program = self._program
        ill = program.ill() if program is not None else ()
        return {
            "host": self._cloud.host,
            "program": self._cloud.program,
            "leadsTo": self._leads_to(),
            "unhealthy": sorted(f"{target.node}:{one.port}{one.path}" for target, one in ill),
            "refused": [{"service": one.service, "why": one.message} for one in self._plan.refused],
        }

    def _leads_to(self) -> dict[str, list[str]]:
        """By address: the nodes that get new connections of some port of it."""
        ill = self._program.ill() if self._program is not None else frozenset()
        nodes: dict[str, set[str]] = {one: set() for one in self._plan.addresses}
        for one in spread(self._plan, ill):
            nodes[one.frontend.address] |= {target.node for target in one.taking}
        return {address: sorted(names) for address, names in nodes.items()}

    async def end(self) -> None:
        if self._main is not None:
            self._main.cancel()
        if self._program is not None:
            await self._program.end()

    def _changed(self, changes: tuple[Change, ...]) -> None:
        """Nodes come and go, and may be marked as none for balancers."""
        if any(isinstance(change.object, Node) for change in changes):
            self._due.set()

    async def _follow(self) -> None:
        await self._begun.wait()
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._agree()
                self._trouble = ""
            except TestbedError as error:
                self._trouble = str(error)
                self._say("balancer-failed", "", {"error": self._trouble})
                asyncio.get_running_loop().call_later(_RETRY_S, self._due.set)
            self._parts.changed.set()

    def _wanted(self) -> Plan:
        return plan(self._services, self._parts.setting.store.snapshot().list(Node), self._cloud)

    async def _agree(self) -> None:
        """Make the host what is to be served now."""
        wanted = self._wanted()
        if wanted == self._plan:
            return
        assert self._program is not None
        for one in wanted.refused:
            if one not in self._plan.refused:
                detail = {"service": one.service, "message": one.message}
                self._say("SyncLoadBalancerFailed", one.service, detail)
        start_ns = now_ns()
        have, self._addresses = self._addresses, frozenset(wanted.addresses)
        self._set_addresses(self._addresses - have)
        took = await self._program.apply(wanted)
        self._set_addresses(have - self._addresses, delete=True)
        self._plan = wanted
        done = {"start_ns": start_ns, "took": took, "addresses": sorted(self._addresses)}
        self._say("balancer-synced", "", done)

    def _set_addresses(self, which: frozenset[str], *, delete: bool = False) -> None:
        """What the balancer itself begins comes from its own address."""
        messages = [
            addresses.address(ip_interface(one), UPLINK_INDEX, by_name_only=True, delete=delete)
            for one in sorted(which)
        ]
        namespace = self._parts.namespace(self._cloud.host)
        with netns.entered(namespace), netlink.Netlink() as link:
            link.send(messages, missing_ok=delete)

    def _tell(self, told: Told) -> None:
        self._parts.changed.set()
        kind = "node-healthy" if told.up else "node-unhealthy"
        asked = f":{told.check.port}{told.check.path}"
        detail = {"reason": told.reason, "asked": asked, "balancer": self._cloud.host}
        self._parts.setting.record(
            Event(now_ns(), "edge", told.node, kind, told.service, 0, detail)
        )

    def _say(self, kind: str, what: str, detail: Mapping[str, object]) -> None:
        self._parts.setting.record(
            Event(now_ns(), "edge", self._cloud.host, kind, what, 0, dict(detail))
        )
