"""Who reaches whom: one process that has sockets in the namespaces of all.

Of every pair of places a TCP connection says whether the one reaches the other, and whose address the other
one sees; then a UDP packet each way, as large as its sender's way takes, that must not be fragmented.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import selectors
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from testbed.clock import now_s
from testbed.ip import family_of
from testbed.kernel.netns import entered
from testbed.traffic.channel import TERMINATED, Channel

REACHED, SILENCE = "reached", "timeout"
_AT_ONCE = 400
"""Pairs that are tried side by side: each takes three descriptors."""
_AGAIN_S = 0.25
"""A packet that nobody answered is sent again: the first may have been lost while the way was learned."""
_ROUNDS = 3
"""At least: what a process that was stalled did not ask is nobody's silence."""
_TOKEN = struct.Struct("!I")
"""Tells which pair a connection or packet is of: its source address may have been translated."""
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_HEADERS = {4: 20 + 8, 6: 40 + 8}
"""Bytes of IP and UDP, by IP family."""
# linux/in.h and in6.h; Python has no names for them.
_MTU_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
_MTU = {4: (socket.IPPROTO_IP, 14), 6: (socket.IPPROTO_IPV6, 24)}
_PMTUDISC_DO = 2
_WORDS = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "refused", errno.ETIMEDOUT: SILENCE}
"""All other errors of connect(2) say that there is no way."""
_UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Reach:
    """What became of one source's attempt at one address of one target."""

    source: str
    target: str
    address: str
    """Which of the target's was dialled."""
    outcome: str
    """reached, timeout, refused or unreachable."""
    seen: str = ""
    """The source's address, as the target sees it; "" where it was not reached."""
    there_bytes: int = 0
    """The largest IP packet that came, unfragmented, from the source to the target; 0: none did."""
    back_bytes: int = 0
    """And on the way back, of packets no larger than those that came."""

    @property
    def reached(self) -> bool:
        return self.outcome == REACHED


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Try all pairs of sources and targets, but a place with itself.

    `config`: {"places": {name: {"netns": path, "addresses": [ip, …]}}, "sources": [name, …], "targets": [name,
    …], "timeout_s": how long a pair may stay silent}. Says {"ready"}, then {"reaches": [fields of `Reach`, …]}
    as they are known, and {"done"}; or {"error"}.
    """
    line = Channel(channel)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    line.say({"ready": True})
    places = config["places"]
    try:
        with contextlib.ExitStack() as stack:
            targets = {
                (name, address): Target(stack, places[name]["netns"], address)
                for name in config["targets"]
                for address in places[name]["addresses"]
            }
            for pairs in _batches(config, tuple(targets)):
                found = Attempts(places, pairs, targets).run(config["timeout_s"])
                line.say({"reaches": [asdict(one) for one in found]})
                if TERMINATED in line.receive():
                    return
    except OSError as error:
        line.say({"error": f"the sockets of the reachability matrix: {error}"})
        return
    line.say({"done": True})


Pair = tuple[str, str, str]
"""Source, target, and the address that is dialled."""


def _batches(config: Mapping[str, Any], targets: Sequence[tuple[str, str]]) -> Iterator[list[Pair]]:
    """In the order of sources; only in the IP families that a source has."""
    pairs = [
        (source, target, address)
        for source in config["sources"]
        for target, address in targets
        if source != target
        and family_of(address) in map(family_of, config["places"][source]["addresses"])
    ]
    for first in range(0, len(pairs), _AT_ONCE):
        yield pairs[first : first + _AT_ONCE]


class Target:
    """One address of a place: a TCP listener and a UDP socket, until the stack closes."""

    def __init__(self, stack: contextlib.ExitStack, netns: str, address: str) -> None:
        self.netns = netns
        with entered(netns):
            self.tcp = stack.enter_context(_socket(address, socket.SOCK_STREAM))
            self.udp = stack.enter_context(_socket(address, socket.SOCK_DGRAM))
        self.tcp.bind((address, 0))
        self.tcp.listen(4096)
        self.udp.bind((address, 0))

    def way_back_bytes(self, client: Any) -> int:
        """The largest packet for whoever is at that address."""
        with entered(self.netns), _socket(client[0], socket.SOCK_DGRAM) as asking:
            asking.connect(client)
            return _mtu(asking, client[0])


@dataclass(slots=True)
class _Attempt:
    pair: Pair
    tcp: socket.socket
    udp: socket.socket
    outcome: str = ""
    seen: str = ""
    there_bytes: int = 0
    back_bytes: int = 0

    @property
    def over(self) -> bool:
        return bool(self.outcome) and (self.outcome != REACHED or self.back_bytes > 0)


class Attempts:
    """Pairs that are tried side by side."""

    def __init__(
        self,
        places: Mapping[str, Any],
        pairs: Sequence[Pair],
        targets: Mapping[tuple[str, str], Target],
    ) -> None:
        self._places = places
        self._targets = targets
        self._pairs = pairs
        self._attempts: list[_Attempt] = []
        self._selector = selectors.DefaultSelector()

    def run(self, timeout_s: float) -> list[Reach]:
        """Raises OSError where a socket cannot be made."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._selector)
            for target in {self._targets[pair[1:]] for pair in self._pairs}:
                self._watch(target.tcp, partial(self._accept, target))
                self._watch(target.udp, partial(self._answer, target))
            for pair in self._pairs:
                self._begin(stack, pair)
            self._until_over(now_s() + timeout_s)
        return [
            Reach(*one.pair, one.outcome or SILENCE, one.seen, one.there_bytes, one.back_bytes)
            for one in self._attempts
        ]

    def _begin(self, stack: contextlib.ExitStack, pair: Pair) -> None:
        source, _, address = pair
        with entered(self._places[source]["netns"]):
            tcp = stack.enter_context(_socket(address, socket.SOCK_STREAM))
            udp = stack.enter_context(_socket(address, socket.SOCK_DGRAM))
        attempt = _Attempt(pair, tcp, udp)
        self._attempts.append(attempt)
        target = self._targets[pair[1:]]
        trouble = tcp.connect_ex(target.tcp.getsockname())
        if trouble not in (0, errno.EINPROGRESS):
            attempt.outcome = _WORDS.get(trouble, _UNREACHABLE)
            return
        token = _TOKEN.pack(len(self._attempts) - 1)
        self._watch(tcp, partial(self._connected, attempt, token), selectors.EVENT_WRITE)
        with contextlib.suppress(OSError):  # no way: TCP says so, too
            udp.connect(target.udp.getsockname())
            self._watch(udp, partial(self._heard, attempt))

    def _until_over(self, deadline_s: float) -> None:
        rounds = 0
        while not all(attempt.over for attempt in self._attempts):
            now = now_s()
            if now >= deadline_s and rounds >= _ROUNDS:
                self._take_what_has_come()
                return
            rounds += 1
            for number, attempt in enumerate(self._attempts):
                if not attempt.over:
                    _send_whole(attempt.udp, attempt.pair[2], _TOKEN.pack(number))
            self._listen(now + _AGAIN_S)

    def _listen(self, until_s: float) -> None:
        while (left_s := until_s - now_s()) > 0:
            if all(attempt.over for attempt in self._attempts):
                return
            for key, _ in self._selector.select(left_s):
                key.data()

    def _take_what_has_come(self) -> None:
        """Whoever has answered was not silent, though this process may have been kept from looking."""
        while ready := self._selector.select(0):
            for key, _ in ready:
                key.data()

    def _watch(
        self, sock: socket.socket, hear: Callable[[], None], events: int = selectors.EVENT_READ
    ) -> None:
        self._selector.register(sock, events, hear)

    def _connected(self, attempt: _Attempt, token: bytes) -> None:
        """The handshake is over, one way or the other."""
        self._selector.unregister(attempt.tcp)
        trouble = attempt.tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if trouble:
            attempt.outcome = _WORDS.get(trouble, _UNREACHABLE)
        else:
            attempt.tcp.send(token)

    def _accept(self, target: Target) -> None:
        try:
            conn, client = target.tcp.accept()
        except BlockingIOError:
            return
        conn.setblocking(False)
        self._watch(conn, partial(self._identified, conn, client[0]))

    def _identified(self, conn: socket.socket, client: str) -> None:
        self._selector.unregister(conn)
        with conn, contextlib.suppress(OSError):
            data = conn.recv(_TOKEN.size)
            if len(data) == _TOKEN.size:
                attempt = self._attempts[_TOKEN.unpack(data)[0]]
                attempt.outcome, attempt.seen = REACHED, client

    def _answer(self, target: Target) -> None:
        """A whole packet came: one as large goes back, if the way back takes it.

        Never a larger one: where its receiver hides behind another address, this end cannot know that it is
        too large, and would learn a smaller MTU for the tunnel to that address (RFC 1191).
        """
        with contextlib.suppress(OSError):
            data, client = target.udp.recvfrom(1 << 16)
            attempt = self._attempts[_TOKEN.unpack_from(data)[0]]
            headers = _HEADERS[family_of(client[0])]
            attempt.there_bytes = max(attempt.there_bytes, len(data) + headers)
            whole = min(target.way_back_bytes(client), len(data) + headers)
            room = whole - headers - _TOKEN.size
            target.udp.sendto(data[: _TOKEN.size] + bytes(room), client)

    def _heard(self, attempt: _Attempt) -> None:
        with contextlib.suppress(OSError):
            size = len(attempt.udp.recv(1 << 16)) + _HEADERS[family_of(attempt.pair[2])]
            attempt.back_bytes = max(attempt.back_bytes, size)


def _send_whole(udp: socket.socket, address: str, token: bytes) -> None:
    """As much as the way takes, as far as this end knows by now."""
    with contextlib.suppress(OSError):  # said by TCP; or a shorter way was learned just now
        room = _mtu(udp, address) - _HEADERS[family_of(address)] - len(token)
        udp.send(token + bytes(room))


def _socket(address: str, kind: int) -> socket.socket:
    """Non-blocking; never fragments. Raises OSError."""
    family = family_of(address)
    sock = socket.socket(_FAMILIES[family], kind | socket.SOCK_NONBLOCK)
    if kind == socket.SOCK_DGRAM:
        sock.setsockopt(*_MTU_DISCOVER[family], _PMTUDISC_DO)
    return sock


def _mtu(connected: socket.socket, address: str) -> int:
    """What the kernel holds for the MTU of a connected socket's way. Raises OSError."""
    return connected.getsockopt(*_MTU[family_of(address)])
