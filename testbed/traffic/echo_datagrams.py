"""A pod's UDP port of the echo server."""

from __future__ import annotations

import socket
from contextlib import suppress

from testbed.clock import now_ns
from testbed.traffic.accept_log import UDP
from testbed.traffic.echo_loop import BURST, EchoLoop
from testbed.traffic.echo_protocol import Identity, command


class Datagrams:
    """A pod's UDP port."""

    def __init__(self, loop: EchoLoop, identity: Identity, sock: socket.socket) -> None:
        self._loop = loop
        self._identity = identity
        self._sock = sock
        loop.watch(sock.fileno(), self._receive)

    def _receive(self, _: int) -> None:
        log = self._loop.log
        for _turn in range(BURST):
            try:
                line, client = self._sock.recvfrom(65536)
            except OSError:  # none left, or an ICMP error of an earlier answer
                return
            if log is not None:
                log.record(now_ns(), client[0], client[1], UDP)
            with suppress(OSError):
                self._sock.sendto(command(self._identity, client, line), client)

    def close(self) -> None:
        self._loop.forget(self._sock.fileno())
        self._sock.close()
