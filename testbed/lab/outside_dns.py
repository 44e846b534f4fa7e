"""DNS outside a lab's cluster: the zone's server, and who writes the names of services into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple

from testbed.clock import now_ns, now_s
from testbed.dns.outside import OutsideName, leading_to
from testbed.dns.outside_table import OutsideTable
from testbed.dns.wire import Record
from testbed.errors import TestbedError
from testbed.events import Event
from testbed.events import Record as Tell
from testbed.fabric.machine import Fabric
from testbed.model.dns_outside import OutsideZone
from testbed.model.topology import Topology
from testbed.runtime.netns import path_of
from testbed.runtime.processes import LabProcess, Processes
from testbed.store import Change, Store

PORT = 53
MAIN = "outside-dns"
_AGAIN_S = 0.5
"""From the end of a server that nobody has ended to the start of the next one."""


class OutsideDns:
    """Of one lab; without `dns.outside` there is nothing."""

    def __init__(self, store: Store, processes: Processes, tell: Tell) -> None:
        self.addresses: tuple[str, ...] = ()
        """The server's, one per IP family; none where there is no server."""
        self._store = store
        self._processes = processes
        self._tell = tell
        self._writer: _Writer | None = None
        self._server: _Server | None = None
        self._wanted: tuple[object, ...] = ()
        store.watch(self._changed)

    @property
    def resolv_conf(self) -> str:
        """Text of the file of whoever is no pod."""
        if not self.addresses:
            return "# no DNS server: dns.outside gives nodes, hosts and dnsPolicy Default one\n"
        return "".join(f"nameserver {address}\n" for address in self.addresses)

    async def follow(
        self, topology: Topology, fabric: Fabric, namespace: Callable[[str], int]
    ) -> None:
        """Serve what the topology says; returns when it is served. `namespace` has a machine's descriptor.

        Raises TestbedError where no process could be made.
        """
        outside = topology.dns.outside
        where = (outside.host or fabric.control_plane) if outside else ""
        hosts = {
            machine.name: tuple(str(one.ip) for one in machine.addresses)
            for machine in fabric.machines
            if machine.kind == "host" and outside
        }
        wanted = (outside, where and namespace(where), hosts)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if self._server is not None:
            await self._server.stop()
        self._writer, self._server, self.addresses = None, None, ()
        if outside is None:
            return
        machine = fabric.machine(where)
        config = {
            "listen": [str(address.ip) for address in machine.all_addresses],
            "port": PORT,
            "zone": outside.zone,
            "server": f"{outside.host or 'ns'}.{outside.zone}",
        }
        own = tuple(str(one.ip) for one in machine.addresses)
        table = OutsideTable(outside.zone, outside.ttl, _fixed(outside, {"ns": own, **hosts}))
        self._server = _Server(self._processes, config, path_of(namespace(where)))
        self._writer = _Writer(outside, table, self._store, self._server, self._tell)
        await self._server.start(self._writer.everything)
        self.addresses = own

    def _changed(self, changes: tuple[Change, ...]) -> None:
        if self._writer is not None:
            self._writer.changed(changes)


class _Writer:
    """Writes names as external-dns does: at once, or no sooner than the interval after the last time."""

    def __init__(
        self, outside: OutsideZone, table: OutsideTable, store: Store, server: _Server, tell: Tell
    ) -> None:
        self._outside = outside
        self._table = table
        self._store = store
        self._server = server
        self._tell = tell
        self._unwritten: list[Change] = []
        self._next_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        snapshot = store.snapshot()
        every = (item for objects in snapshot.tables.values() for item in objects.values())
        self._table.follow((Change("ADDED", item, None, 0) for item in every), snapshot)
        self._serial = snapshot.resource_version

    def everything(self) -> dict[str, object]:
        """For a server that knows nothing."""
        return _message(self._table.records, self._serial)

    def changed(self, changes: tuple[Change, ...]) -> None:
        """Once the interval is over, these are written."""
        self._unwritten += changes
        if self._timer is None:
            delay_s = max(0.0, self._next_s - now_s())
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._write)

    def _write(self) -> None:
        self._timer = None
        snapshot, changes = self._store.snapshot(), self._unwritten
        self._unwritten = []
        written = self._table.follow(changes, snapshot)
        self._serial = snapshot.resource_version
        if written:
            self._next_s = now_s() + self._outside.interval_s
            self._server.say(_message(written, self._serial))
            names = {"names": sorted(written)}
            zone = self._outside.zone
            self._tell(Event(now_ns(), "dns", "", "written", zone, self._serial, names))


class _Server:
    """The server's process, kept running."""

    def __init__(self, processes: Processes, config: dict[str, object], netns: str) -> None:
        self._processes = processes
        self._config = config
        self._netns = netns
        self._process: LabProcess | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, everything: Callable[[], dict[str, object]]) -> None:
        """Returns when it serves. Raises TestbedError where no process could be made, or it ended at once."""
        await self._begin(everything)
        self._task = asyncio.create_task(self._keep(everything))

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
        if self._process is not None:
            await self._process.end()

    def say(self, message: dict[str, object]) -> None:
        """Tell it of names."""
        if self._process is not None and self._process.channel is not None:
            self._process.channel.send(message)

    async def _begin(self, everything: Callable[[], dict[str, object]]) -> None:
        process = await self._processes.spawn(MAIN, self._config, self._netns)
        if not process.running:
            raise TestbedError(f"the outside DNS server ended with code {process.code}")
        self._process = process
        self.say(everything())

    async def _keep(self, everything: Callable[[], dict[str, object]]) -> None:
        while True:
            assert self._process is not None
            await self._process.ended.wait()
            await asyncio.sleep(_AGAIN_S)
            with suppress(TestbedError):  # next time, perhaps
                await self._begin(everything)


def _fixed(outside: OutsideZone, machines: dict[str, tuple[str, ...]]) -> list[OutsideName]:
    """Names of the outside world's own machines, and what the topology adds or says otherwise."""
    targets = {**machines, **outside.records}
    return [
        one
        for name, those in targets.items()
        for one in leading_to(f"{name}.{outside.zone}", those, None)
    ]


def _message(records: Mapping[str, tuple[Record, ...]], serial: int) -> dict[str, object]:
    told = {name: [astuple(one) for one in those] for name, those in records.items()}
    return {"records": told, "serial": serial}
