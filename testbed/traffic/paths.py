"""Ways through a lab, measured in turn with a plain one: two namespaces that a veth pair joins.

The first packet (SYN to SYN-ACK) and later ones (a byte to its acknowledgement) are timed by the kernel's own
stamps at the client's interface; nothing but kernels answer. Throughput is that of one TCP stream over a
bounded time, from a process on one CPU to a process on another one, where there are two.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_interface
from statistics import median
from typing import Any

from testbed.clock import now_ns
from testbed.kernel import addresses, links, netlink, netns
from testbed.traffic.channel import Channel
from testbed.traffic.handshakes import Tap

PLAIN = "plain"
_ENDS = (ip_interface("192.0.2.1/30"), ip_interface("192.0.2.2/30"))
_INDEX = 64
_BLOCK = 256 * 1024
"""Bytes of one send and one receive."""
_TIMEOUT_S = 5.0
_TCP_INFO_RETRANS = struct.Struct("=100xI")
"""tcpi_total_retrans of struct tcp_info (linux/tcp.h)."""
_TIMEVAL = struct.Struct("@ll")
_REPORT = struct.Struct("=QQ")
"""Bytes and nanoseconds, as the receiver counted them."""


@dataclass(frozen=True, slots=True)
class Way:
    """From `client` to `dial`; whoever is behind that listens in `serve`."""

    client: str | int
    dial: tuple[str, int]
    serve: str | int
    port: int


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Measure every way `rounds` times, the plain one among them, each round in a random order.

    `config`: {"client": path of a namespace, "paths": {name: {"dial": [ip, port], "serve": path, "port"}},
    "mtu": of the plain pair, "rounds", "connections", "packets" on each, "stream_s", "warm_s" before that,
    "seed"}. Says {"ready"}, {"round": a row of path, round, first_us, packet_us, bytes, elapsed_ns,
    retransmits} for each, and {"done"}; or {"error"}. Medians over connections, and over packets.
    """
    line = Channel(channel)
    line.say({"ready": True})
    chance = random.Random(config["seed"])
    try:
        with plain_pair(config["mtu"]) as plain:
            ways = {PLAIN: plain} | {
                name: Way(config["client"], tuple(path["dial"]), path["serve"], path["port"])
                for name, path in config["paths"].items()
            }
            for number in range(config["rounds"]):
                for name in chance.sample(list(ways), len(ways)):
                    row = measured(ways[name], config)
                    line.say({"round": {"path": name, "round": number, **row}})
                    if line.receive():
                        return
    except OSError as error:
        line.say({"error": f"measuring the paths: {error}"})
        return
    line.say({"done": True})


@contextmanager
def plain_pair(mtu: int) -> Iterator[Way]:
    """Two new namespaces, a veth pair, an address each, and nothing else."""
    near, far = netns.create(), netns.create()
    try:
        here = links.End("eth0", "02:03:00:00:00:01", mtu, _INDEX, near)
        there = links.End("eth0", "02:03:00:00:00:02", mtu, _INDEX, far)
        with netns.entered(near), netlink.Netlink() as link:
            link.send([links.veth(here, there), *_up(_ENDS[0])])
        with netns.entered(far), netlink.Netlink() as link:
            link.send(_up(_ENDS[1]))
        yield Way(near, (str(_ENDS[1].ip), 5001), far, 5001)
    finally:
        os.close(near)
        os.close(far)


def _up(address: Any) -> list[netlink.Message]:
    return [links.link_up(1), links.link_up(_INDEX), addresses.address(address, _INDEX)]


def measured(way: Way, config: Mapping[str, Any]) -> dict[str, Any]:
    """One round of one way. Raises OSError where it does not lead to who serves."""
    with _listening(way) as listener:
        first, later = _latencies(way, listener, config["connections"], config["packets"])
        counted, elapsed_ns, retransmits = _stream(way, listener, config)
    return {
        "first_us": median(first) / 1e3,
        "packet_us": median(later) / 1e3,
        "bytes": counted,
        "elapsed_ns": elapsed_ns,
        "retransmits": retransmits,
    }


@contextmanager
def _listening(way: Way) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in way.dial[0] else socket.AF_INET
    with netns.entered(way.serve):
        listener = socket.socket(family, socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", way.port))
        listener.listen()
        listener.settimeout(_TIMEOUT_S)
        yield listener


def _latencies(
    way: Way, listener: socket.socket, connections: int, packets: int
) -> tuple[list[int], list[int]]:
    """Nanoseconds of the first packet of each connection, and of each packet after it."""
    first: list[int] = []
    later: list[int] = []
    with netns.entered(way.client), Tap() as tap:
        for _ in range(connections):
            sock, took_ns = tap.dial(*way.dial)
            first.append(took_ns)
            with sock, listener.accept()[0]:
                later += [tap.acknowledged(sock) for _ in range(packets)]
    return first, later


def _stream(way: Way, listener: socket.socket, config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Bytes that the receiver got, in how many ns, and how many segments were sent again."""
    report, told = os.pipe()
    here, there = _cpus()
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(OSError):
            _pin(there)
            os.write(told, _REPORT.pack(*_received(listener, config)))
            code = 0
        os._exit(code)
    os.close(told)
    before = os.sched_getaffinity(0)
    try:
        _pin(here)
        retransmits = _sent(way)
        data = os.read(report, _REPORT.size)
    finally:
        os.sched_setaffinity(0, before)
        os.close(report)
        os.waitpid(child, 0)
    if len(data) != _REPORT.size:
        raise OSError(f"nobody received the stream to {way.dial[0]}:{way.dial[1]}")
    return (*_REPORT.unpack(data), retransmits)


def _received(listener: socket.socket, config: Mapping[str, Any]) -> tuple[int, int]:
    """Bytes and ns of what came after the warm-up; closing tells the sender that it is over."""
    conn, _ = listener.accept()
    with conn:
        _block_within(conn, socket.SO_RCVTIMEO)
        buffer = memoryview(bytearray(_BLOCK))
        warm_ns = now_ns() + int(config["warm_s"] * 1e9)
        while (began_ns := now_ns()) < warm_ns:
            conn.recv_into(buffer)
        end_ns = began_ns + int(config["stream_s"] * 1e9)
        counted = 0
        while (at_ns := now_ns()) < end_ns:
            counted += conn.recv_into(buffer)
        return counted, at_ns - began_ns


def _sent(way: Way) -> int:
    """Send until nobody takes it any more; how many segments had to be sent again."""
    with netns.entered(way.client):
        sock = socket.create_connection(way.dial, _TIMEOUT_S)
    with sock:
        _block_within(sock, socket.SO_SNDTIMEO)
        block = bytes(_BLOCK)
        retransmits = 0
        with contextlib.suppress(ConnectionError):
            while True:
                sock.send(block)
                info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                retransmits = _TCP_INFO_RETRANS.unpack_from(info)[0]
    return retransmits


def _block_within(sock: socket.socket, option: int) -> None:
    """Wait in the kernel, not in poll(2): a call then takes, or gives, a whole block."""
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(int(_TIMEOUT_S), 0))


def _cpus() -> tuple[int, int]:
    """Of the sender and of the receiver: different ones where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[-1], cpus[0]


def _pin(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})
