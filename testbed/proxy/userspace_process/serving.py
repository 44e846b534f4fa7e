"""What the sockets of the process share: the process's settings, and one listener's picker."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.proxy.userspace_balancer import Picker
from testbed.proxy.userspace_process.loop import Loop

Picked = Callable[[str, tuple[str, int], str, tuple[str, int]], None]
"""Hears of every connection to an endpoint: protocol, client, endpoint, the address it was dialled from."""


def nowhere(protocol: str, client: tuple[str, int], endpoint: str, own: tuple[str, int]) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Process:
    """Settings and state that all listeners share."""

    loop: Loop
    udp_idle_s: float
    documented: bool
    picked: Picked = nowhere
    loads: dict[str, float] = field(default_factory=dict)
    """Endpoint -> what it last said of its load."""

    @property
    def half_closes(self) -> bool:
        return self.documented

    @property
    def datagram_bytes(self) -> int:
        """kube-proxy's buffer was 4 KiB: it cut longer datagrams."""
        return 65535 if self.documented else 4096


@dataclass(frozen=True, slots=True)
class Serving:
    """A listener of the table, as its sockets see it."""

    process: Process
    picker: Picker


def address_of(text: str) -> tuple[str, int]:
    """`ip:port`, or `[ip]:port`, as socket calls take it."""
    ip, _, port = text.rpartition(":")
    return ip.strip("[]"), int(port)


def family_of(text: str) -> socket.AddressFamily:
    return socket.AF_INET6 if text.startswith("[") else socket.AF_INET


def bound(kind: socket.SocketKind, address: str) -> socket.socket:
    """A non-blocking socket on an address. Raises OSError where it cannot be had."""
    sock = socket.socket(family_of(address), kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart meets TIME_WAIT
        sock.bind(address_of(address))
    except OSError:
        sock.close()
        raise
    return sock
