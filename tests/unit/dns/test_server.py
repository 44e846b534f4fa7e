"""The server's sockets, through a real process; what it says is test_answer's and test_reply's."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace

from testbed.dns import wire
from testbed.dns.framing import Unframer, framed
from testbed.dns.wire import Response, decode_response, encode_query
from testbed.model.objects.metadata import Object
from testbed.model.objects.services import Service
from tests.unit.dns.running import LOOPBACK, RunningServer

WEB = "web.default.svc.cluster.local"
PETS = "pets.default.svc.cluster.local"


def over_udp(server: RunningServer, name: str) -> Response:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(60)
        sock.connect((LOOPBACK, server.port))
        sock.send(encode_query(1, name, wire.A))
        return decode_response(sock.recv(4096))


def until(server: RunningServer, name: str, rcode: int) -> Response:
    """Ask until the answer has this rcode: changes travel on another socket than queries."""
    deadline_s = time.monotonic() + 60
    while (response := over_udp(server, name)).rcode != rcode:
        assert time.monotonic() < deadline_s, response
    return response


def over_tcp(server: RunningServer, *pieces: bytes, count: int) -> list[Response]:
    unframer = Unframer()
    packets: list[bytes] = []
    with socket.create_connection((LOOPBACK, server.port), timeout=60) as sock:
        for piece in pieces:
            sock.sendall(piece)
        while len(packets) < count:
            packets += unframer.feed(sock.recv(65536))
    return [decode_response(packet) for packet in packets]


def test_it_fails_until_it_is_in_sync_then_answers(server: RunningServer, web: Service) -> None:
    assert over_udp(server, WEB).rcode == wire.SERVFAIL
    server.sync(web)
    assert until(server, WEB, wire.NOERROR).answers[0].data == "10.96.1.1"


def test_changes_reach_the_answers(server: RunningServer, web: Service) -> None:
    server.sync(web)
    until(server, WEB, wire.NOERROR)
    server.change("DELETED", web)
    gone = until(server, WEB, wire.NXDOMAIN)
    assert gone.authority[0].data.split()[2] == "2"  # the SOA's serial is the resourceVersion
    server.change("ADDED", replace(web, cluster_ips=("10.96.1.2",)))
    assert until(server, WEB, wire.NOERROR).answers[0].data == "10.96.1.2"


def test_tcp_carries_what_udp_cuts(
    server: RunningServer, pets: Callable[[int], tuple[Object, ...]]
) -> None:
    server.sync(*pets(100))
    assert until(server, PETS, wire.NOERROR).truncated
    (response,) = over_tcp(server, framed(encode_query(7, PETS, wire.A)), count=1)
    assert not response.truncated
    assert len(response.answers) == 100


def test_many_queries_in_one_stream_are_all_answered(server: RunningServer, web: Service) -> None:
    server.sync(web)
    until(server, WEB, wire.NOERROR)
    stream = b"".join(framed(encode_query(ident, WEB, wire.A)) for ident in range(2000))
    responses = over_tcp(server, stream[:1], stream[1:7000], stream[7000:], count=2000)
    assert sorted(response.ident for response in responses) == list(range(2000))


def test_garbage_closes_a_stream_and_hurts_nobody_else(server: RunningServer, web: Service) -> None:
    server.sync(web)
    with socket.create_connection((LOOPBACK, server.port), timeout=60) as sock:
        sock.sendall(framed(b"garbage"))
        assert sock.recv(10) == b""
    assert until(server, WEB, wire.NOERROR).answers


def test_more_connections_than_it_keeps_cost_the_oldest(
    server: RunningServer, web: Service
) -> None:
    server.sync(web)
    until(server, WEB, wire.NOERROR)
    streams = [socket.create_connection((LOOPBACK, server.port), timeout=60) for _ in range(520)]
    streams[-1].sendall(framed(encode_query(1, WEB, wire.A)))
    assert streams[-1].recv(2)
    assert streams[0].recv(1) == b""
    for stream in streams:
        stream.close()


def test_it_ends_at_sigterm(server: RunningServer) -> None:
    assert server.terminate() == 0


def test_it_ends_with_its_supervisor(server: RunningServer) -> None:
    server.channel.shutdown(socket.SHUT_RDWR)
    assert server.process.wait(60) == 0
