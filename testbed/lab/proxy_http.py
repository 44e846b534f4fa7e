"""A node's proxy over HTTP, inside the node's network namespace: metrics, health, and the health check
node ports of its services. The pages are `proxy.pages`'.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import is_
from time import CLOCK_REALTIME, clock_gettime_ns

from testbed.clock import now_ns
from testbed.events import Event, Record
from testbed.kernel import netns
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service
from testbed.proxy.health import health_check_addresses, health_check_ports
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.pages import (
    HEALTH_PORT,
    METRICS_PORT,
    NOT_ALLOWED,
    NodeStatus,
    Page,
    health_page,
    metrics_page,
    request_line,
    service_page,
)
from testbed.proxy.table import ForwardingTable
from testbed.store import Key

_PATIENCE_S = 10.0
"""How long a client may take over its request."""
_LONGEST_HEAD = 16 * 1024
Answer = Callable[[str], Page]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose proxy it is. `loops`: one per IP family, the primary first."""

    node: str
    namespace: int
    loops: tuple[ProxyLoop, ...]
    object: Callable[[], Node | None]


_Listening = tuple[Key, str, int]
"""(service, address or "", port)."""


class ProxyHttp:
    """The servers of one node."""

    def __init__(self, subject: Subject, record: Record) -> None:
        self._subject = subject
        self._record = record
        self._open: dict[_Listening, _Listener] = {}
        self._fixed: list[_Listener] = []
        self._refused: set[_Listening] = set()
        self._services: Sequence[object] | None = None
        """Those that the open ports are of, by loop."""
        self._probes: dict[str, Counter[int]] = {"/healthz": Counter(), "/livez": Counter()}

    def start(self) -> None:
        """Listen. Raises OSError where somebody else has the ports."""
        self._fixed = [
            self._listen("127.0.0.1", METRICS_PORT, lambda path: metrics_page(path, self.status)),
            self._listen("", HEALTH_PORT, self._health),
        ]
        for loop in self._subject.loops:
            loop.on_programmed = self._programmed

    def stop(self) -> None:
        """Listen no more."""
        for listener in (*self._fixed, *self._open.values()):
            listener.close()
        self._fixed, self._open = [], {}

    def forget(self) -> None:
        """Count probes anew, as a process that has just started."""
        for counter in self._probes.values():
            counter.clear()

    @property
    def status(self) -> NodeStatus:
        """The node's proxy now."""
        now, first = now_ns(), self._subject.loops[0]
        return NodeStatus(
            proxiers=tuple(loop.status for loop in self._subject.loops),
            node=self._subject.object(),
            now_ns=now,
            unix_offset_ns=clock_gettime_ns(CLOCK_REALTIME) - now,
            sync_period_s=first.periods.sync_period_s,
            configuration=first.configuration,
            healthz=self._probes["/healthz"],
            livez=self._probes["/livez"],
        )

    def _health(self, path: str) -> Page:
        page = health_page(path, self.status)
        if path in self._probes:
            self._probes[path][page.status] += 1
        return page

    def _programmed(self, table: ForwardingTable) -> None:
        """Open the ports of services that want one, close those of others."""
        tables = [loop.table for loop in self._subject.loops]
        services = [table.snapshot.of(Service) if table else None for table in tables]
        if self._services is not None and all(map(is_, services, self._services)):
            return  # snapshots share what did not change
        self._services = services
        wanted = {
            (service, address, port)
            for loop in self._subject.loops
            if loop.table is not None
            for service, port in health_check_ports(loop.table).items()
            for address in health_check_addresses(loop.table, loop.status.mode)
        }
        for gone in self._open.keys() - wanted:
            self._open.pop(gone).close()
        self._refused &= wanted
        for new in sorted(wanted - self._open.keys()):
            self._open_service(new)

    def _open_service(self, new: _Listening) -> None:
        service, address, port = new
        try:
            self._open[new] = self._listen(
                address, port, lambda path: service_page(service, self.status)
            )
        except OSError as error:
            if new not in self._refused:
                self._refused.add(new)
                self._record(_refused(self._subject.node, service, port, error))

    def _listen(self, address: str, port: int, answer: Answer) -> _Listener:
        with netns.entered(self._subject.namespace):
            return _Listener(_bound(address, port), answer)


def _refused(node: str, service: Key, port: int, error: OSError) -> Event:
    detail = {"port": port, "error": error.strerror or str(error)}
    name = "/".join(service)
    return Event(now_ns(), "proxy", node, "FailedToStartServiceHealthcheck", name, 0, detail)


def _bound(address: str, port: int) -> socket.socket:
    """A socket that listens on an address, or for "" on every address of both families."""
    if not address and socket.has_dualstack_ipv6():
        found = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        address = "::"
    else:
        found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((address, port))
        found.listen()
    except OSError:
        found.close()
        raise
    found.setblocking(False)
    return found


class _Listener:
    """One listening socket and what it answers."""

    def __init__(self, bound: socket.socket, answer: Answer) -> None:
        self._socket = bound
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def close(self) -> None:
        self._task.cancel()
        if self._server is None:
            self._socket.close()
        else:
            self._server.close()  # the event loop must forget the socket before its number is used again

    async def _serve(self) -> None:
        self._server = await asyncio.start_server(
            self._talk, sock=self._socket, limit=_LONGEST_HEAD, start_serving=False
        )
        await self._server.start_serving()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(_PATIENCE_S):
                request = request_line(await reader.readuntil(b"\r\n\r\n"))
                if request is not None:
                    method, path = request
                    page = self._answer(path) if method in {"GET", "HEAD"} else NOT_ALLOWED
                    writer.write(page.encode(head_only=method == "HEAD"))
                    await writer.drain()
        writer.close()
