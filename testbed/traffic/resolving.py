"""The resolution of a load's host name, driven by the generator's loop."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from testbed.clock import now_ns
from testbed.dns.wire import WireError
from testbed.traffic.lookup import Lookup

if TYPE_CHECKING:
    from testbed.traffic.generator import Load

_DNS_PORT = 53
_LARGEST = 64 * 1024
_DATAGRAM = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK


def socket_family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Resolving:
    """One look-up, from a socket of its own. `deadline_ns`: of the question that is out."""

    __slots__ = ("_failed", "_load", "_lookup", "_resolved", "_sock", "deadline_ns")

    def __init__(
        self, load: Load, resolved: Callable[[str | None], None], failed: Callable[[], None]
    ) -> None:
        """`resolved` is told the address, or None: there is none. `failed`: nobody could be asked."""
        self._load = load
        self._resolved = resolved
        self._failed = failed
        self._sock: socket.socket | None = None
        self.deadline_ns = 0

    def begin(self) -> None:
        """Send the first questions."""
        load = self._load
        try:
            ident = int.from_bytes(os.urandom(2), "big")
            self._lookup = Lookup(load.host, load.resolv_conf, ident)
            self._sock = socket.socket(socket_family(self._lookup.server), _DATAGRAM)
        except WireError:
            self._resolved(None)
            return
        except OSError:
            self._failed()
            return
        load.handlers[self._sock.fileno()] = self.handle
        load.epoll.register(self._sock.fileno(), select.EPOLLIN)
        self._ask()

    def _ask(self) -> None:
        load = self._load
        self.deadline_ns = now_ns() + int(load.resolv_conf.timeout_s * 1e9)
        load.dns_deadlines.append((self.deadline_ns, self))
        try:
            self._sock.connect((self._lookup.server, _DNS_PORT))  # type: ignore[union-attr]
            for packet in self._lookup.packets:
                self._sock.send(packet)  # type: ignore[union-attr]
        except OSError:  # no route, or an ICMP error for the first one: a libc does not wait then
            self.expire()

    def handle(self, _: int) -> None:
        """An answer, or an ICMP error."""
        try:
            data = self._sock.recv(_LARGEST)  # type: ignore[union-attr]
        except BlockingIOError:
            return
        except OSError:
            self.expire()
            return
        if self._lookup.receive(data):
            self._go_on()

    def expire(self) -> None:
        """The server did not answer in time, or refused to."""
        self._lookup.give_up_waiting()
        self._go_on()

    def _go_on(self) -> None:
        lookup = self._lookup
        if lookup.address is None and not lookup.failed:
            self._ask()
            return
        self.close()
        if lookup.address is not None:
            self._load.keep_address(lookup.address, lookup.ttl_s)
        self._resolved(lookup.address)

    def close(self) -> None:
        """Ask no more."""
        self.deadline_ns = 0
        if self._sock is not None:
            self._load.handlers.pop(self._sock.fileno(), None)
            self._sock.close()
