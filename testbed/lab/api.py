"""A lab's Kubernetes API: where its server listens, who may ask it, and what a cluster is born with."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from pathlib import Path
from time import CLOCK_REALTIME, clock_gettime

from testbed.apiserver import bootstrap
from testbed.apiserver.pod_requests import to_pods
from testbed.apiserver.presented import Face
from testbed.apiserver.server import ApiServer
from testbed.apiserver.writing import Writer
from testbed.clock import now_s
from testbed.controllers.builtin import FOR_CLIENTS
from testbed.controllers.loop import ControllerLoop
from testbed.fabric.plan import plan
from testbed.ip import family_of
from testbed.kernel import netns
from testbed.lab.api_credentials import Credentials
from testbed.lab.api_events import ApiEvents
from testbed.lab.cluster import Cluster
from testbed.lab.journal import Journal
from testbed.lab.pod_access import PodAccess
from testbed.lab.service_accounts import ServiceAccounts
from testbed.model.documents import Namespace
from testbed.model.topology import Topology
from testbed.store import Change, Store

_NAMES = ("localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default")


class LabApi:
    """Of one lab; `cluster` need not have been brought to its topology yet."""

    def __init__(
        self, cluster: Cluster, topology: Topology, folder: Path, journal: Journal
    ) -> None:
        self._cluster = cluster
        self._journal = journal
        network = topology.network
        fabric = plan(topology)
        own = fabric.machine(fabric.control_plane).addresses
        self._addresses = tuple(str(address.ip) for address in own)
        """Those of where the control plane is, one per IP family."""
        service_ip = bootstrap.service_ip(network.service_cidrs[0], cluster.store.snapshot())
        service_name = f"kubernetes.default.svc.{topology.dns.domain}"
        names = (*_NAMES, "kubernetes.default.svc", service_name, service_ip, *self._addresses)
        self.credentials = Credentials(names)
        self.accounts = ServiceAccounts(folder / "accounts", self.credentials)
        self.outside = ""
        """Where it listens outside the lab, HOST:PORT of a loopback address; "": nowhere yet."""
        unix_offset_s = clock_gettime(CLOCK_REALTIME) - now_s()
        toleration_s = topology.timing.not_ready_toleration_s
        face = Face(tuple(map(str, network.service_cidrs)), unix_offset_s, toleration_s)
        self._server = ApiServer(
            cluster.store,
            face,
            users=self.credentials.user,
            writer=Writer(cluster.store, now_s, face),
            streams=partial(to_pods, pods=PodAccess(cluster), snapshot=cluster.store.snapshot),
        )
        self._controllers = ControllerLoop(
            cluster.store, [one.begun() for one in FOR_CLIENTS], now_s, cluster.delays
        )
        self._events = ApiEvents(cluster.store, unix_offset_s)
        self._born = _Born(
            cluster.store,
            bootstrap.Cluster(
                tuple(map(str, network.service_cidrs)),
                service_ip,
                self._addresses[0],
                self.credentials.ca_pem,
            ),
        )

    @property
    def inside(self) -> str:
        """Where it listens in the lab, HOST:PORT."""
        host = f"[{self._addresses[0]}]" if ":" in self._addresses[0] else self._addresses[0]
        return f"{host}:{bootstrap.PORT}"

    async def start(self) -> None:
        """Listen in the lab, where its nodes, outside hosts and pods can reach it."""
        self._born.start()
        self._events.start()
        self._controllers.start()
        for event in self._journal.since_ns(0):
            if event.source in {"ingress", "edge"}:
                self._events.heard(event)
        self._journal.listen(self._events.heard)
        with netns.entered(self._cluster.control_plane):
            listeners = [
                socket.create_server(
                    (address, bootstrap.PORT),
                    family=socket.AF_INET6 if family_of(address) == 6 else socket.AF_INET,
                )
                for address in self._addresses
            ]
        for listener in listeners:
            await self._server.start(listener, self.credentials.tls)

    async def listen(self, listener: socket.socket, address: str) -> None:
        """Serve on a socket of the user's world, too."""
        await self._server.start(listener, self.credentials.tls)
        self.outside = address


class _Born:
    """Keeps what a cluster is born with in the store."""

    def __init__(self, store: Store, cluster: bootstrap.Cluster) -> None:
        self._store = store
        self._cluster = cluster
        self._used: set[str] = set()
        self._due = False

    def start(self) -> None:
        tables = self._store.snapshot().tables
        self._used = {namespace for table in tables.values() for namespace, _ in table} - {""}
        self._make_up()
        self._store.watch(self._changed)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        self._used -= {
            change.object.meta.name
            for change in changes
            if change.type == "DELETED" and isinstance(change.object, Namespace)
        }
        added = {change.object.meta.namespace for change in changes if change.type == "ADDED"}
        new = added - self._used - {""}
        self._used |= new
        ours = any(
            change.type != "MODIFIED" and change.object.kind in bootstrap.KINDS
            for change in changes
        )
        if (new or ours) and not self._due:
            self._due = True
            # Not within somebody's write; yet before the next request is looked at.
            asyncio.get_running_loop().call_soon(self._make_up)

    def _make_up(self) -> None:
        self._due = False
        self._store.apply(bootstrap.missing(self._store.snapshot(), self._cluster, self._used))
