"""Many datagrams by a system call, over real sockets of the loopback address."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from testbed.dns.datagrams import MAX_QUERY, Burst

_SO_PEEK_OFF = 42  # asm-generic/socket.h; Python has no name for it
OTHERS = [
    (socket.AF_INET, ("127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.3")),
    (socket.AF_INET6, ("::1", "::1")),
]
"""A host of IPv6's loopback has no other address."""
FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]


@pytest.fixture(params=FAMILIES, ids=["IPv4", "IPv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A server's socket, and a client's that is connected to it."""
    family, address = request.param
    with (
        socket.socket(family, socket.SOCK_DGRAM) as server,
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        server.bind((address, 0))
        client.connect(server.getsockname())
        client.settimeout(60)
        yield server, client


def came(burst: Burst) -> list[bytes]:
    return burst.packets(burst.receive())


def arrived(server: socket.socket, count: int) -> None:
    """Return when so many datagrams lie there: the loopback, too, delivers in its own time."""
    server.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, 0)
    for _ in range(count):
        server.recv(1 << 16, socket.MSG_PEEK)
    server.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, -1)


def test_answers_go_to_who_asked_with_the_id_in_front(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    server, client = pair
    burst = Burst(server, 4, 100)
    for number in range(4):
        client.send(b"%02d?" % number)
    arrived(server, 4)
    assert came(burst) == [b"00?", b"01?", b"02?", b"03?"]
    for number in (0, 2, 3):  # one has no answer
        burst.put(number, b" answer %d" % number)
    burst.send()
    assert [client.recv(100) for _ in range(3)] == [b"00 answer 0", b"02 answer 2", b"03 answer 3"]


def test_bursts_follow_each_other_and_end(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    burst = Burst(server, 2, 100)
    assert came(burst) == []
    for text in (b"one", b"two, and longer", b"3"):
        client.send(text)
    arrived(server, 3)
    assert [came(burst), came(burst), came(burst)] == [
        [b"one", b"two, and longer"],
        [b"3"],
        [],
    ]


def test_senders_are_told_as_sockets_tell_them(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    burst = Burst(server, 1, 100)
    client.send(b"query")
    arrived(server, 1)
    burst.receive()
    assert burst.sender(0) == client.getsockname()


@pytest.mark.parametrize(("family", "others"), OTHERS, ids=["IPv4", "IPv6"])
def test_hosts_are_told_apart_whatever_their_ports(
    family: socket.AddressFamily, others: tuple[str, ...]
) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as server, ExitStack() as stack:
        server.bind((others[0], 0))
        for address in others:
            client = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            client.bind((address, 0))
            client.sendto(b"query", server.getsockname())
        arrived(server, len(others))
        burst = Burst(server, len(others), 100)
        hosts = burst.hosts(burst.receive())
        assert [hosts.index(host) for host in hosts] == [others.index(one) for one in others]


def test_datagrams_can_be_taken_out_of_a_burst(pair: tuple[socket.socket, socket.socket]) -> None:
    server, client = pair
    burst = Burst(server, 4, 100)
    for text in (b"one", b"two, and longer", b"", b"4"):
        client.send(text)
    arrived(server, 4)
    assert burst.receive() == 4
    assert burst.chosen([0, 2, 3]) == [b"one", b"", b"4"]


def test_too_long_a_query_is_cut_and_an_empty_one_is_one(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    server, client = pair
    burst = Burst(server, 2, 100)
    client.send(b"x" * (MAX_QUERY + 1))
    client.send(b"")
    arrived(server, 2)
    assert came(burst) == [b"x" * MAX_QUERY, b""]


def test_an_answer_that_cannot_be_sent_does_not_keep_the_others() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.connect(server.getsockname())
        client.settimeout(60)
        burst = Burst(server, 2, 1 << 17)
        for text in (b"id1", b"id2"):
            client.send(text)
        arrived(server, 2)
        burst.receive()
        burst.put(0, bytes(1 << 16))  # more than a datagram holds
        burst.put(1, b"short")
        burst.send()
        assert client.recv(100) == b"idshort"
