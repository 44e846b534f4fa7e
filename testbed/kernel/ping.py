"""ICMP and ICMPv6 echo from a namespace to many addresses at once: readiness is proven by a packet."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable, Set
from ipaddress import ip_address

from testbed.ip import IPAddress, family_of
from testbed.kernel import netns

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_ECHO_REQUEST_V6, _ECHO_REPLY_V6 = 128, 129
_SOCKET = {
    4: (socket.AF_INET, socket.IPPROTO_ICMP),
    6: (socket.AF_INET6, socket.IPPROTO_ICMPV6),
}
_RETRY_S = 0.1
_ROUNDS = 3
"""Questions asked at least: what a process that was stalled did not ask is nobody's silence."""


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    """An ICMP echo request of 8 bytes (RFC 792)."""
    bare = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, _checksum(bare), identifier, sequence)


def echo_request_v6(identifier: int, sequence: int) -> bytes:
    """An ICMPv6 echo request of 8 bytes (RFC 4443); the kernel fills in its checksum."""
    return struct.pack("!BBHHH", _ECHO_REQUEST_V6, 0, 0, identifier, sequence)


async def ping(
    namespace: int, targets: Iterable[IPAddress], timeout_s: float
) -> frozenset[IPAddress]:
    """Which targets have not answered a packet sent from `namespace` within `timeout_s` (empty: all have)."""
    by_family: dict[int, set[str]] = {}
    for target in targets:
        by_family.setdefault(target.version, set()).add(str(target))
    silent = await asyncio.gather(
        *(_ping(namespace, waiting, timeout_s) for waiting in by_family.values())
    )
    return frozenset(ip_address(target) for some in silent for target in some)


async def _ping(namespace: int, targets: Set[str], timeout_s: float) -> set[str]:
    """As `ping`, of one IP family."""
    waiting = set(targets)
    family = family_of(next(iter(waiting)))
    loop = asyncio.get_running_loop()
    with netns.entered(namespace):
        sock = socket.socket(_SOCKET[family][0], socket.SOCK_RAW, _SOCKET[family][1])
    with sock:
        sock.setblocking(False)
        # The ping of iputils takes its process's number, and any answer with it for its own: in a lab
        # those are small.
        identifier = 0x8000 | sock.fileno() & 0x7FFF
        deadline = loop.time() + timeout_s
        request = (echo_request if family == 4 else echo_request_v6)(identifier, 1)
        asked = 0
        while waiting and (asked < _ROUNDS or loop.time() < deadline):
            asked += 1
            for target in tuple(waiting):
                try:
                    sock.sendto(request, (target, 0))
                except OSError:
                    continue  # no route yet, or a full queue: the next round tries again
                _collect(sock, identifier, waiting)
            await _answers(loop, sock, identifier, waiting, min(_RETRY_S, timeout_s))
            _collect(sock, identifier, waiting)  # what came while we were late
    return waiting


async def _answers(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    identifier: int,
    waiting: set[str],
    patience_s: float,
) -> None:
    """Take answers off `waiting` until it is empty or patience runs out."""
    end = loop.time() + patience_s
    while waiting and (left := end - loop.time()) > 0:
        readable = asyncio.Event()
        loop.add_reader(sock, readable.set)
        try:
            await asyncio.wait_for(readable.wait(), left)
        except TimeoutError:
            return
        finally:
            loop.remove_reader(sock)
        _collect(sock, identifier, waiting)


def _collect(sock: socket.socket, identifier: int, waiting: set[str]) -> None:
    v6 = sock.family == socket.AF_INET6
    while True:
        try:
            data, source = sock.recvfrom(256)
        except OSError:
            return
        # An IPv4 raw socket yields the IP header too.
        header = 0 if v6 else (data[0] & 0x0F) * 4
        kind, _, _, ident, _ = struct.unpack_from("!BBHHH", data, header)
        if kind == (_ECHO_REPLY_V6 if v6 else _ECHO_REPLY) and ident == identifier:
            waiting.discard(source[0])
