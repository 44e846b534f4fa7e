"""DNS pods that run another program: which it is, and what keeps it in step with the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.dns.external import Place as DnsPlace
from testbed.dns.external import Program
from testbed.dns.external_command import OwnCommand
from testbed.dns.external_coredns import CoreDNS
from testbed.dns.external_dnsmasq import Dnsmasq
from testbed.dns.external_unbound import Unbound
from testbed.dns.zone_listing import ZoneListing
from testbed.dns.zone_options import REVERSE, ZoneOptions
from testbed.events import Record
from testbed.kernel import features
from testbed.kernel.features import Feature
from testbed.lab.external_dns_server import ExternalServer
from testbed.model.corefile_text import corefile_text
from testbed.model.dns import DNS
from testbed.model.dns_server import PROGRAMS
from testbed.runtime.netns import Place
from testbed.runtime.processes import Processes
from testbed.store import Change, Store


@dataclass(frozen=True, slots=True)
class Around:
    """What a lab has that its DNS programs need."""

    folder: Path
    processes: Processes
    record: Record
    upstream: Callable[[], tuple[str, ...]]
    """Whom they ask for names outside the cluster."""
    kubeconfig: Callable[[], Awaitable[Path]]
    """A file that lets them in to the API, which is opened for it."""


class ExternalDns:
    """All of one lab's."""

    def __init__(self, dns: DNS, store: Store, around: Around) -> None:
        """Raises MissingFeature where the host has no such program."""
        if dns.server.program in PROGRAMS:
            features.require(Feature(dns.server.program))
        self._dns = dns
        self._around = around
        self._folder = around.folder / "dns"
        self._folder.mkdir(exist_ok=True)
        zones = (dns.domain, *REVERSE)
        self._listing = ZoneListing(ZoneOptions(zones=zones, pods="verified"))
        self._servers: list[ExternalServer] = []
        self._held: set[str] = set()
        snapshot = store.snapshot()
        every = (item for table in snapshot.tables.values() for item in table.values())
        self._listing.follow((("ADDED", item) for item in every), snapshot.resource_version)
        store.watch(self._changed)

    async def start(self, place: Place) -> ExternalServer:
        """Start a pod's program with all names that there are; returns when it answers, or has ended.

        Raises TestbedError where no process could be made.
        """
        program = await self._program(place)
        around = self._around
        server = ExternalServer(place, program, self._listing, around.processes, around.record)
        server.hold(held=place.node in self._held)
        self._servers.append(server)
        await server.start(self._folder_of(place))
        return server

    def hold(self, node: str) -> None:
        """Programs on this node hear nothing until `release`."""
        self._held.add(node)
        self._tell_held()

    def release(self, node: str) -> None:
        """They hear what they have missed."""
        self._held.discard(node)
        self._tell_held()

    def _tell_held(self) -> None:
        for server in self._servers:
            server.hold(held=server.node in self._held)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        told = [(change.type, change.object) for change in changes]
        before = self._listing.follow(told, changes[-1].resource_version)
        self._servers = [server for server in self._servers if not server.over]
        for server in self._servers:
            server.changed(before)

    def _folder_of(self, place: Place) -> Path:
        """Short, as it holds a socket."""
        folder = self._folder / place.pod.meta.uid[:8]
        folder.mkdir(exist_ok=True)
        return folder

    async def _program(self, place: Place) -> Program:
        server = self._dns.server
        where = DnsPlace(
            tuple(map(str, place.addresses)),
            self._dns.domain,
            self._around.upstream(),
            str(self._folder_of(place)),
        )
        if server.program == "unbound":
            return Unbound(where)
        if server.program == "dnsmasq":
            return Dnsmasq(where)
        if server.program == "coredns":
            kubeconfig = await self._around.kubeconfig()
            return CoreDNS(where, str(kubeconfig), corefile_text(self._dns))
        asks = any("{kubeconfig}" in word for word in server.external)
        allowed = str(await self._around.kubeconfig()) if asks else ""
        return OwnCommand(where, server.external, allowed)
