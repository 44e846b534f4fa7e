"""TCP connections of a server: whose are kept, what is read of them, when they end."""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from testbed.dns import streams as module
from testbed.dns import wire
from testbed.dns.framing import Unframer, framed
from testbed.dns.loop import SelectorLoop
from testbed.dns.query import Reply
from testbed.dns.ready import Entry, Ready
from testbed.dns.reply import Asked, Send
from testbed.dns.streams import IDLE_S, Streams

QUERY = wire.encode_query(1, "web", wire.A)


class Loop:
    """Descriptors as they are, and a time that passes when it is told to."""

    def __init__(self) -> None:
        self.time_s = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.selector = selectors.DefaultSelector()

    def now_s(self) -> float:
        return self.time_s

    def watch(self, fd: int, ready: Callable[[int], None], events: int) -> None:
        if fd in self.selector.get_map():
            self.selector.modify(fd, events, ready)
        else:
            self.selector.register(fd, events, ready)

    def unwatch(self, fd: int) -> None:
        self.selector.unregister(fd)

    def later(self, delay_s: float, call: Callable[[], None]) -> Callable[[], None]:
        timer = (self.time_s + delay_s, call)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer)

    def settle(self) -> None:
        """Until nothing more happens of what has arrived."""
        while events := self.selector.select(0):
            for key, mask in events:
                if key.fd in self.selector.get_map():
                    key.data(mask)

    def settle_when(self, arrived: Callable[[], bool]) -> None:
        """The loopback, too, delivers in its own time."""
        deadline_s = time.monotonic() + 60
        while not arrived():
            self.settle()
            assert time.monotonic() < deadline_s
        self.settle()

    def wait(self, seconds: float) -> None:
        self.time_s += seconds
        for timer in [one for one in self.timers if one[0] <= self.time_s]:
            self.timers.remove(timer)
            timer[1]()


class Server:
    """Streams whose queries wait in `asked` until the test answers them."""

    def __init__(self, stack: ExitStack) -> None:
        self.loop = Loop()
        self.asked: list[tuple[Asked, Send]] = []
        self._stack = stack
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=50))
        self._listener.setblocking(False)
        self.ready = Ready()
        queue = lambda asked, send: self.asked.append((asked, send))  # noqa: E731
        streams = Streams(self._listener, self.ready, queue, self.loop)
        self.loop.watch(self._listener.fileno(), streams.accept, selectors.EVENT_READ)

    def client(self, address: str = "127.0.0.1", sent: bytes = b"") -> socket.socket:
        """A connection from one of the loopback addresses, which has sent something."""
        where = self._listener.getsockname()
        client = socket.create_connection(where, timeout=60, source_address=(address, 0))
        self._stack.enter_context(client)
        client.sendall(sent)
        self.loop.settle_when(lambda: self.serves(client) and not unacknowledged(client))
        return client

    def serves(self, client: socket.socket) -> bool:
        """Whether it has a connection of that client's: watched, or paused."""
        return client.getsockname() in map(peer, map(int, os.listdir("/proc/self/fd")))

    def has_closed(self, client: socket.socket) -> bool:
        """Whether the client's connection is over, for the client, too."""
        return not self.serves(client) and client.recv(4096) == b""

    def answer(self, raw: bytes | None) -> None:
        """The oldest query."""
        _, send = self.asked.pop(0)
        send(raw)
        self.loop.settle()


@pytest.fixture
def server() -> Iterator[Server]:
    with ExitStack() as stack:
        yield Server(stack)


def peer(fd: int) -> tuple[str, int] | None:
    """Who is at the other end of a descriptor of this process; None: nobody."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:  # no socket, or closed by now
        return None
    try:
        where: tuple[str, int] = sock.getpeername()
    except OSError:
        return None
    finally:
        sock.detach()
    return where


def heard(client: socket.socket, count: int = 1) -> list[bytes]:
    """The next answers."""
    unframer, packets = Unframer(), list[bytes]()
    while len(packets) < count:
        packets += unframer.feed(client.recv(4096))
    return packets


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the other end's kernel does not have yet."""
    (count,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
    return int(count)


def is_half_closed(sock: socket.socket) -> bool:
    """Whether the other end's kernel knows that this one has said all (FIN_WAIT2 and later)."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in {5, 6, 7}


def test_answers_come_in_the_order_in_which_they_are_found(server: Server) -> None:
    client = server.client(sent=framed(b"slow") + framed(b"fast"))
    (_, slow), (_, fast) = server.asked
    fast(b"fast answer")
    slow(b"slow answer")
    assert heard(client, 2) == [b"fast answer", b"slow answer"]


def test_what_is_ready_made_waits_for_nobody(server: Server) -> None:
    reply = Reply(depends=frozenset({"web"}))
    server.ready.keep(QUERY, Entry(reply, 1), QUERY[:2] + b" is ready")
    client = server.client(sent=framed(b"slow") + framed(QUERY))
    assert heard(client) == [b"\0\1 is ready"]


def test_plug_ins_learn_whose_query_it_is(server: Server) -> None:
    client = server.client("127.0.0.3", framed(QUERY))
    assert server.asked[0][0] == Asked(QUERY, *client.getsockname(), tcp=True)


def test_a_client_that_has_said_all_is_answered_and_closed(server: Server) -> None:
    client = server.client(sent=framed(QUERY))
    client.shutdown(socket.SHUT_WR)
    server.loop.settle_when(lambda: is_half_closed(client))
    assert not server.has_closed(client)
    server.answer(b"answer")
    assert heard(client) == [b"answer"]
    assert server.has_closed(client)


def test_of_one_connection_so_many_queries_are_worked_out_at_once(server: Server) -> None:
    server.client(sent=framed(QUERY) * 1000)
    assert len(server.asked) == 64
    server.answer(b"answer")
    assert len(server.asked) == 64


def test_what_is_no_query_or_finds_no_room_closes_the_connection(server: Server) -> None:
    client = server.client(sent=framed(QUERY) * 100)
    server.answer(None)
    assert server.has_closed(client)
    server.answer(b"too late")


def test_idle_connections_are_closed_but_none_that_waits_for_an_answer(server: Server) -> None:
    idle = server.client()
    waiting = server.client(sent=framed(QUERY))
    dribbling = server.client()
    server.loop.wait(IDLE_S / 2)
    dribbling.sendall(b"\0")  # of a query that never comes
    young = server.client()
    server.loop.wait(IDLE_S / 2 + 0.1)
    states = [server.has_closed(one) for one in (idle, waiting, dribbling, young)]
    assert states == [True, False, True, False]
    server.loop.wait(IDLE_S)
    assert server.has_closed(young)
    server.answer(b"answer")
    assert heard(waiting) == [b"answer"]


def test_the_client_with_most_connections_makes_room(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 4)
    modest = server.client("127.0.0.2")
    greedy = [server.client("127.0.0.3") for _ in range(5)]
    assert [server.has_closed(one) for one in (modest, *greedy)] == [
        False,
        True,
        True,
        *[False] * 3,
    ]


def test_timers_are_called_in_time_unless_called_off() -> None:
    loop = SelectorLoop()
    called: list[str] = []
    loop.later(0.02, lambda: called.append("second"))
    loop.later(0.01, lambda: called.append("first"))
    loop.later(0.0, lambda: called.append("never"))()
    while len(called) < 2:
        loop.turn(wait=True)
    assert called == ["first", "second"]
    loop.turn(wait=False)
    loop.close()


def test_who_fails_is_told_of_and_hurts_nobody_else() -> None:
    failures: list[Exception] = []
    loop = SelectorLoop(failures.append)
    called: list[str] = []
    mine, theirs = socket.socketpair()
    loop.watch(mine.fileno(), lambda _: mine.recv(1)[1], selectors.EVENT_READ)  # type: ignore[arg-type,return-value]
    loop.later(0.0, lambda: called.remove("what is not there"))
    loop.later(0.0, lambda: called.append("the next one"))
    theirs.send(b"x")
    while len(failures) < 2 or not called:
        loop.turn(wait=True)
    assert {type(one) for one in failures} == {IndexError, ValueError}
    loop.close()
    for sock in (mine, theirs):
        sock.close()


def test_a_descriptor_that_is_unwatched_in_a_round_is_not_called_in_it() -> None:
    loop = SelectorLoop()
    called: list[int] = []
    (one, theirs), (other, others) = socket.socketpair(), socket.socketpair()

    def once(fd: int, unwatched: int) -> Callable[[int], None]:
        def ready(_events: int) -> None:
            called.append(fd)
            loop.unwatch(unwatched)

        return ready

    for mine, rest in ((one, other), (other, one)):
        loop.watch(mine.fileno(), once(mine.fileno(), rest.fileno()), selectors.EVENT_READ)
    theirs.send(b"x")
    others.send(b"x")
    loop.turn(wait=True)
    assert len(called) == 1
    loop.close()
    for sock in (one, theirs, other, others):
        sock.close()
