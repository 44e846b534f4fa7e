"""The load balancers of a running lab: who is told of which services, and what became of their addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any

from testbed.clock import now_ns
from testbed.controllers.decision import Controller
from testbed.controllers.load_balancers import Settings, is_ours, outcomes, reconcile, remembering
from testbed.edge.balanced import Balanced, balanced_in
from testbed.edge.provider import CONTROL_PLANE
from testbed.events import Event
from testbed.lab.edge_providers import ProviderParts, provider_of
from testbed.lab.node_watch import NodeWatch
from testbed.lab.pod_network import LabPodNetwork
from testbed.lab.setting import Setting
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service
from testbed.model.topology import Topology
from testbed.store import Change, Key, Snapshot

_TELL_S = 1.0
"""From one word of what is still missing to the next."""


class LoadBalancers:
    """Of one lab; without a provider nothing happens, and addresses stay pending."""

    def __init__(
        self, setting: Setting, namespace: Callable[[str], int], pod_network: LabPodNetwork
    ) -> None:
        """`namespace`: file descriptor of a node's or host's. Raises NotBuiltYet."""
        self._balancer = setting.topology.load_balancer
        self._store = setting.store
        self._record = setting.record
        self._delays = setting.delays
        self._news = asyncio.Event()
        """Set where `Provider.missing` may say something else."""
        self.provider = provider_of(ProviderParts(setting, namespace, pod_network, self._news))
        self._watches: dict[str, NodeWatch] = {}
        self._leave: dict[str, Callable[[], None]] = {}
        self._due: dict[str, asyncio.Handle] = {}
        self._told: dict[str, tuple[Balanced, ...]] = {}
        self._seen: tuple[int, tuple[Balanced, ...]] = (-1, ())
        """The services of a version of the store."""
        self._refused: dict[Key, str] = {}
        if self.provider is not None:
            self._watch(CONTROL_PLANE, NodeWatch(self._store))

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """What gives addresses out."""
        if self.provider is None:
            return ()
        settings = Settings(self._balancer, self.provider.ip_mode, self.provider.cleans_up)
        make = partial(remembering, settings)
        return (Controller("load-balancers", (Service,), partial(reconcile, settings), make),)

    def follow(self, topology: Topology) -> None:
        """The lab is to be another one now."""
        if self.provider is not None:
            self.provider.follow(topology)

    def node_started(self, name: str) -> None:
        """A node runs, and hears of the services there are."""
        if self.provider is not None:
            self.provider.node_started(name)
            self._watch(name, NodeWatch(self._store, self._delays.watch_s))

    def node_stopped(self, name: str) -> None:
        """It has lost its power, or is no more."""
        if self.provider is None or name not in self._watches:
            return
        del self._watches[name]
        self._leave.pop(name)()
        if name in self._due:
            self._due.pop(name).cancel()
        self._told.pop(name, None)
        self.provider.node_stopped(name)

    def hold(self, node: str) -> None:
        """A node that does not reach the control plane hears nothing (a `control_touch.Listener`)."""
        if node in self._watches:
            self._watches[node].hold()

    def release(self, node: str) -> None:
        """It hears what it has missed."""
        if node in self._watches:
            self._watches[node].release()

    async def settled(self, progress: Callable[[str], None]) -> None:
        """Return when clients can reach every service that has an address."""
        while lacking := self._missing():
            progress(lacking)
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _TELL_S)

    def _missing(self) -> str:
        if self.provider is None:
            return ""
        if self._due:
            return "load balancers hear of their services"
        return self.provider.missing(self._services(self._store.snapshot()))

    @property
    def led_to(self) -> dict[str, Sequence[str]]:
        """The nodes that packets for each address from outside are led to; none where others begin connections
        of their own in their place.
        """
        if self.provider is None:
            return {}
        view = self.provider.view()
        elsewhere = view.get("leadsTo", {})
        if self.provider.ip_mode != "VIP":
            elsewhere = dict.fromkeys(elsewhere, ())
        return {**view.get("answeredBy", {}), **view.get("announcedBy", {}), **elsewhere}

    def view(self) -> dict[str, Any]:
        """What `inspect` says of it."""
        if self.provider is None:
            return {"provider": "none"}
        pending = {f"{namespace}/{name}": why for (namespace, name), why in self._refused.items()}
        view = dict(self.provider.view())
        services = self._services(self._store.snapshot())
        given = {str(address) for one in services for address in one.addresses}
        for told in view.keys() & {"answeredBy", "announcedBy"}:
            every = sorted(given | view[told].keys(), key=_by_family)
            view[told] = {address: view[told].get(address, []) for address in every}
        return {"provider": self.provider.name, "pending": pending, **view}

    def _watch(self, who: str, watch: NodeWatch) -> None:
        self._watches[who] = watch
        self._leave[who] = watch.watch(partial(self._changed, who))
        self._soon(who)

    def _changed(self, who: str, changes: tuple[Change, ...]) -> None:
        if any(self._concerns(change) for change in changes):
            self._soon(who)

    def _concerns(self, change: Change) -> bool:
        for one in (change.object, change.previous):
            if isinstance(one, Service) and (
                one.type == "LoadBalancer" or one.load_balancer_ingress
            ):
                return True
            if isinstance(one, EndpointSlice):
                service = self._store.snapshot().get(Service, *one.service)
                return service is not None and service.type == "LoadBalancer"
        before = change.previous
        return isinstance(change.object, Node) and (
            before is None
            or change.type == "DELETED"
            or before.meta.labels != change.object.meta.labels
        )

    def _soon(self, who: str) -> None:
        if who not in self._due:
            self._due[who] = asyncio.get_running_loop().call_soon(self._tell, who)

    def _tell(self, who: str) -> None:
        del self._due[who]
        self._news.set()
        assert self.provider is not None
        snapshot = self._watches[who].snapshot()
        services = self._services(snapshot)
        if who == CONTROL_PLANE:
            self._note(snapshot)
        if services != self._told.get(who):
            self._told[who] = services
            self.provider.tell(who, services)

    def _services(self, snapshot: Snapshot) -> tuple[Balanced, ...]:
        version, services = self._seen
        if version != snapshot.resource_version:
            ours = (one for one in snapshot.list(Service) if is_ours(one, self._balancer))
            services = balanced_in(snapshot, ours)
            self._seen = (snapshot.resource_version, services)
        return services

    def _note(self, snapshot: Snapshot) -> None:
        """Record who was refused an address since the last look."""
        _, refused = outcomes(self._balancer, snapshot)
        for key, why in refused.items():
            if self._refused.get(key) != why:
                name = "/".join(key)
                error = f'Failed to allocate IP for "{name}": {why}'
                detail = {"service": name, "error": error}
                version = snapshot.resource_version
                self._record(
                    Event(now_ns(), "edge", "", "allocation-failed", name, version, detail)
                )
        self._refused = refused


def _by_family(address: str) -> tuple[int, int]:
    ip = ip_address(address)
    return ip.version, int(ip)
