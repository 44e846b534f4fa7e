"""Packets and clients that are out to hurt: what they do to the parser, and to everybody else."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testbed.dns import wire
from testbed.dns.framing import framed
from testbed.dns.labels import decode_name
from testbed.dns.wire import (
    Received,
    Response,
    WireError,
    decode_query,
    decode_response,
    encode_query,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service, ServicePort
from tests.unit.dns.running import LOOPBACK, RunningServer, running_server

WEB = "web.default.svc.cluster.local"
FLOODER = "127.0.0.2"
QUERY = encode_query(1, WEB, wire.A)
HEAD, QUESTION = QUERY[:12], QUERY[12:]
OPT = bytes.fromhex("00 0029 04d0 00 00 0000 0000")


def counts(*numbers: int) -> bytes:
    """A header that promises so many records of each section."""
    return HEAD[:4] + b"".join(number.to_bytes(2, "big") for number in numbers)


HOSTILE = {
    "nothing": b"",
    "half a header": HEAD[:7],
    "a header alone": HEAD,
    "no question": counts(0, 0, 0, 0),
    "65,535 questions": counts(0xFFFF, 0, 0, 0) + QUESTION,
    "65,535 records of each kind": counts(1, 0xFFFF, 0xFFFF, 0xFFFF) + QUESTION,
    "a name that is cut off": QUERY[:20],
    "a type that is cut off": QUERY[:-3],
    "a name that points at itself": HEAD + b"\xc0\x0c\0\1\0\1",
    "two names that point at each other": HEAD + b"\xc0\x0e\xc0\x0c\0\1\0\1",
    "a name that points forwards": HEAD + b"\xc0\x20" + bytes(40),
    "a name that points into the header": HEAD + b"\xc0\x04\0\1\0\1",
    "a pointer that is cut off": HEAD + b"\xc0",
    "a label of an unknown kind": HEAD + b"\x41ab\0\0\1\0\1",
    "a label of 255 bytes": HEAD + b"\xff" + bytes(300),
    "a name of 400 bytes": HEAD + (b"\x3f" + b"x" * 63) * 6 + b"\0\0\1\0\1",
    "bytes that are no text": HEAD + b"\4\0\xff\x80.\0\0\1\0\1",
    "two OPT records": counts(1, 0, 0, 2) + QUESTION + OPT * 2,
    "an OPT record with a name": counts(1, 0, 0, 1) + QUESTION + b"\1a" + OPT,
    "an OPT record that is cut off": counts(1, 0, 0, 1) + QUESTION + OPT[:-1],
    "options that run out of their record": counts(1, 0, 0, 1) + QUESTION + OPT[:-1] + b"\3\0\1\0",
    "a record that runs out of the packet": counts(1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\xff\xff",
    "an answer": b"\0\1\x80\0" + QUERY[4:],
    "a kind of query that does not exist": b"\0\1\x78\0" + QUERY[4:],
    "a class that does not exist": QUERY[:-1] + b"\xff",
    "more behind the question": QUERY + bytes(500),
    "a zone transfer": QUERY[:-4] + b"\0\xfc\0\1",
    "64 kB of pointers": HEAD + b"\1a\0" + b"".join(
        (0xC000 | max(12, at)).to_bytes(2, "big") for at in range(10, 16_000, 2)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """In sync: it knows WEB."""
    with running_server() as running:
        running.sync(
            Service(
                ObjectMeta("web", "default"), cluster_ips=("10.96.1.1",), ports=(ServicePort(80),)
            )
        )
        running.await_sync()
        yield running


def answer_to(server: RunningServer, query: bytes) -> Response:
    """What a well-behaved client hears, who asks again when an answer fails to come."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect((LOOPBACK, server.port))
        for _ in range(10):
            sock.send(query)
            with suppress(TimeoutError):
                return decode_response(sock.recv(4096))
    raise AssertionError("no answer to any of ten queries")


def is_answered(server: RunningServer, query: bytes = QUERY) -> bool:
    return [record.data for record in answer_to(server, query).answers] == ["10.96.1.1"]


@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE)
def test_hostile_packets_are_read_in_no_time_or_refused(packet: bytes) -> None:
    for decode in (decode_query, decode_response):
        try:
            decode(packet)
        except WireError:
            continue


def test_hostile_packets_hurt_nobody_else_over_udp(server: RunningServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((LOOPBACK, server.port))
        for packet in HOSTILE.values():
            sock.send(packet)
    assert is_answered(server)


def test_hostile_packets_hurt_nobody_else_over_tcp(server: RunningServer) -> None:
    for packet in HOSTILE.values():
        with socket.create_connection((LOOPBACK, server.port), timeout=60) as sock:
            sock.sendall(framed(packet))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):  # an answer or none, and then the end
                pass
    assert is_answered(server)


def test_streams_that_never_say_a_whole_query_hurt_nobody_else(server: RunningServer) -> None:
    streams = [socket.create_connection((LOOPBACK, server.port), timeout=60) for _ in range(600)]
    for stream in streams:
        try:
            stream.send(b"\xff")
        except ConnectionError:  # it made room for a later one
            continue
    with socket.create_connection((LOOPBACK, server.port), timeout=60) as sock:
        sock.sendall(framed(QUERY))
        assert sock.recv(4096)
    assert is_answered(server)
    for stream in streams:
        stream.close()


def test_a_stream_that_asks_and_does_not_read_hurts_nobody_else(server: RunningServer) -> None:
    with socket.create_connection((LOOPBACK, server.port), timeout=60) as greedy:
        greedy.setblocking(False)
        try:
            while True:
                greedy.send(framed(QUERY) * 1000)
        except BlockingIOError:  # the server does not listen any more
            pass
        assert is_answered(server)


FLOOD = f"""
import itertools, socket, sys
port, before, after = int(sys.argv[1]), *map(bytes.fromhex, sys.argv[2:])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("{FLOODER}", 0))
sock.connect(("{LOOPBACK}", port))
for number in itertools.count():
    sock.send(before + b"%08d" % number + after)
    if number == 10_000:
        print("it is under way", flush=True)
"""


@contextmanager
def flood(server: RunningServer, before: bytes, after: bytes) -> Iterator[None]:
    """Another client, a process of its own, sends as fast as it can, with a number amidst every packet."""
    argv = [sys.executable, "-c", FLOOD, str(server.port), before.hex(), after.hex()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


FLOODS = {
    "ever other names": (HEAD + b"\x08", QUESTION),
    "nonsense": (HEAD, b"\xff"),
    "an answer to nobody": (b"\0\1\x80\0", QUERY[4:]),
}


@pytest.mark.parametrize(("before", "after"), FLOODS.values(), ids=FLOODS)
def test_a_flood_from_one_client_leaves_the_others_answered(
    server: RunningServer, before: bytes, after: bytes
) -> None:
    with flood(server, before, after):
        for number in range(50):
            assert is_answered(server, encode_query(number, WEB, wire.A))
            api = encode_query(number, f"api-{number}.default.svc.cluster.local", wire.A)
            assert answer_to(server, api).rcode == wire.NXDOMAIN  # worked out, not ready-made


@given(st.binary(max_size=600))
@example(HEAD + b"\xc0\x0c\0\1\0\1")
def test_no_bytes_raise_anything_but_wire_error(packet: bytes) -> None:
    for decode in (decode_query, decode_response):
        try:
            decode(packet)
        except WireError:
            continue


@given(st.binary(max_size=500), st.integers(0, 500))
def test_no_name_takes_longer_than_it_is_allowed_to(data: bytes, offset: int) -> None:
    try:
        name, after = decode_name(data, offset)
    except WireError:
        return
    assert offset < after <= len(data)
    assert len(name) <= 4 * 255


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_a_damaged_query_is_another_query_or_none(chance: random.Random, damages: int) -> None:
    packet = bytearray(counts(1, 0, 0, 1) + QUESTION + OPT)
    for _ in range(damages):
        match chance.randrange(3):
            case 0:
                packet[chance.randrange(len(packet))] = chance.randrange(256)
            case 1:
                del packet[chance.randrange(len(packet)) :]
                packet += bytes(1)
            case 2:
                at = chance.randrange(len(packet))
                packet[at:at] = bytes(packet[chance.randrange(len(packet)) :][:20])
    try:
        query = decode_query(bytes(packet))
    except WireError:
        return
    assert isinstance(query, Received)
    assert query.question_bytes in packet
