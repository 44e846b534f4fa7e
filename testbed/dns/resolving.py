"""Runs look-ups of C libraries (`testbed.dns.libc`) over sockets, many at a time, on one thread."""

from __future__ import annotations

import random
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress

from testbed.clock import now_s
from testbed.dns.framing import MAX_MESSAGE
from testbed.dns.libc import Came, Library, LookedUp, Sending, Step, Steps
from testbed.dns.search import ResolvConf

DNS_PORT = 53
Done = Callable[[LookedUp], None]


class Resolving:
    """Look-ups under way. Each has sockets of its own, as each getaddrinfo has."""

    def __init__(self, port: int = DNS_PORT) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._running: set[_Running] = set()

    @property
    def under_way(self) -> int:
        """How many have not ended."""
        return len(self._running)

    def begin(self, library: Library, name: str, conf: ResolvConf, done: Done) -> None:
        """Start a look-up; `done` is called when it has ended, never from here. Raises WireError."""
        steps = library(name, conf, lambda: random.randrange(1 << 16), now_s())
        first = next(steps)
        running = _Running(self._selector, steps, self._port)
        running.done = done
        self._running.add(running)
        running.obey(first)

    def turn(self, until_s: float) -> None:
        """Handle what comes next, or nothing until `until_s`."""
        wake_s = min((one.until_s for one in self._running), default=until_s)
        for key, _ in self._selector.select(max(min(wake_s, until_s) - now_s(), 0.0)):
            running, number = key.data
            while not running.over and (came := running.receive(number)) is not None:
                self._go_on(running, came)
        for running in [one for one in self._running if one.until_s <= now_s()]:
            self._go_on(running, running.waited())

    def _go_on(self, running: _Running, came: Came) -> None:
        ended = running.go_on(came)
        if ended is not None:
            self._running.discard(running)
            running.done(ended)

    def close(self) -> None:
        """Drop what is under way; nobody is told."""
        for running in self._running:
            running.close()
        self._running.clear()
        self._selector.close()


class _Running:
    """One look-up with its sockets, by the numbers that it gives them."""

    done: Done

    def __init__(self, selector: selectors.BaseSelector, steps: Steps, port: int) -> None:
        self.over = False
        self.until_s = 0.0
        self._selector = selector
        self._steps = steps
        self._port = port
        self._sockets: dict[int, socket.socket] = {}
        self._refused = False
        """Whether an ICMP error was told of while something was sent."""

    def go_on(self, came: Came) -> LookedUp | None:
        """Hand in what came; what became of the look-up, None: it goes on."""
        try:
            self.obey(self._steps.send(came))
        except StopIteration as ended:
            self.over = True
            self.close()
            result: LookedUp = ended.value
            return result
        return None

    def obey(self, step: Step) -> None:
        """Send what is to be sent; an error in doing so is what comes next."""
        self.until_s = step.until_s
        for sending in step.sendings:
            try:
                self._send(sending)
            except OSError:
                if sending.connected:
                    self._refused = True
                    self.until_s = 0.0  # at once

    def _send(self, sending: Sending) -> None:
        sock = self._sockets.get(sending.socket)
        where = (sending.server, self._port)
        if sock is None:
            family = socket.AF_INET6 if ":" in sending.server else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._sockets[sending.socket] = sock
            self._selector.register(sock, selectors.EVENT_READ, (self, sending.socket))
            if sending.connected:
                sock.connect(where)
        if sending.connected:
            sock.send(sending.packet)
        else:
            sock.sendto(sending.packet, where)

    def waited(self) -> Came:
        """Nothing came in time, or sending failed."""
        refused, self._refused = self._refused, False
        return Came(now_s(), refused=refused)

    def receive(self, number: int) -> Came | None:
        """What a socket has heard; None: nothing."""
        try:
            return Came(now_s(), self._sockets[number].recv(MAX_MESSAGE))
        except BlockingIOError:
            return None
        except OSError:
            return Came(now_s(), refused=True)

    def close(self) -> None:
        """Hear no more."""
        for sock in self._sockets.values():
            with suppress(KeyError):
                self._selector.unregister(sock)
            sock.close()
