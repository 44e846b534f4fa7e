"""UDP: a socket of its own for each client, for as long as either side talks."""

from __future__ import annotations

import socket
from contextlib import suppress

from testbed.clock import now_s
from testbed.proxy.userspace_process.serving import Serving, address_of, bound, family_of

_BURST = 64
"""Datagrams taken before others get their turn."""
_BUFFER_BYTES = 4 << 20
"""A burst of datagrams waits here instead of being lost."""


class UdpListener:
    """One listening socket and the sessions of its clients, the one silent longest first."""

    def __init__(self, serving: Serving, address: str) -> None:
        self.serving = serving
        self.sock = bound(socket.SOCK_DGRAM, address)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._sessions: dict[tuple[str, int], _Session] = {}
        self._timer = -1
        serving.process.loop.watch(self.sock.fileno(), self._receive)

    def close(self) -> None:
        """Close the socket, and with it every session: nobody could be answered."""
        process = self.serving.process
        if self._timer >= 0:
            process.loop.cancel(self._timer)
        for client in tuple(self._sessions):
            self._end(client)
        process.loop.forget(self.sock.fileno())
        self.sock.close()

    def used(self, session: _Session) -> None:
        """A session has just been talked in."""
        session.used_s = now_s()
        self._sessions[session.client] = self._sessions.pop(session.client)
        if self._timer < 0:
            self._wait()

    def _wait(self) -> None:
        oldest = next(iter(self._sessions.values()), None)
        self._timer = -1
        if oldest is not None:
            process = self.serving.process
            self._timer = process.loop.at(oldest.used_s + process.udp_idle_s, self._end_idle)

    def _end_idle(self) -> None:
        limit_s = now_s() - self.serving.process.udp_idle_s
        for client, session in tuple(self._sessions.items()):
            if session.used_s > limit_s:
                break
            self._end(client)
        self._wait()

    def _end(self, client: tuple[str, int]) -> None:
        session = self._sessions.pop(client)
        self.serving.process.loop.forget(session.sock.fileno())
        session.sock.close()
        self.serving.picker.closed(session.endpoint)

    def _receive(self, _: int) -> None:
        for _turn in range(_BURST):
            try:
                data, address = self.sock.recvfrom(self.serving.process.datagram_bytes)
            except OSError:  # none left, or an ICMP error of an earlier answer
                return
            client = (address[0], address[1])
            session = self._sessions.get(client) or self._begin(client)
            if session is not None:
                self.used(session)
                with suppress(OSError):  # refused: the client hears nothing, as in kube-proxy
                    session.sock.send(data)

    def _begin(self, client: tuple[str, int]) -> _Session | None:
        process = self.serving.process
        endpoint = self.serving.picker.pick(client[0], now_s(), process.loads)
        if endpoint is None:
            return None
        sock = socket.socket(family_of(endpoint), socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            sock.connect(address_of(endpoint))
        except OSError:  # no route: the datagram is lost
            sock.close()
            return None
        process.picked("udp", client, endpoint, sock.getsockname())
        session = self._sessions[client] = _Session(self, client, endpoint, sock)
        self.serving.picker.opened(endpoint)
        process.loop.watch(sock.fileno(), session.answered)
        return session


class _Session:
    """One client's way to its endpoint and back."""

    def __init__(
        self, listener: UdpListener, client: tuple[str, int], endpoint: str, sock: socket.socket
    ) -> None:
        self.client = client
        self.endpoint = endpoint
        self.sock = sock
        self.used_s = now_s()
        self._listener = listener

    def answered(self, _: int) -> None:
        """Pass answers on to the client."""
        for _turn in range(_BURST):
            try:
                data = self.sock.recv(self._listener.serving.process.datagram_bytes)
            except BlockingIOError:
                return
            except OSError:  # refused; kube-proxy ended the session then, here it ends when idle
                return
            self._listener.used(self)
            with suppress(OSError):
                self._listener.sock.sendto(data, self.client)
