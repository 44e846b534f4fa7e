"""ICMP echo from a namespace to many addresses at once: readiness is proven by a packet."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address

from testbed.kernel import netns

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_RETRY_S = 0.1


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    """An ICMP echo request of 8 bytes (RFC 792)."""
    bare = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, _checksum(bare), identifier, sequence)


async def ping(
    namespace: int, targets: Iterable[IPv4Address], timeout_s: float
) -> frozenset[IPv4Address]:
    """Which targets have not answered a packet sent from `namespace` within `timeout_s` (empty: all have)."""
    waiting = {str(target) for target in targets}
    if not waiting:
        return frozenset()
    loop = asyncio.get_running_loop()
    with netns.entered(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with sock:
        sock.setblocking(False)
        identifier = sock.fileno() & 0xFFFF
        deadline = loop.time() + timeout_s
        request = echo_request(identifier, 1)
        while waiting and loop.time() < deadline:
            for target in tuple(waiting):
                try:
                    sock.sendto(request, (target, 0))
                except OSError:
                    continue  # no route yet, or a full queue: the next round tries again
                _collect(sock, identifier, waiting)
            await _answers(loop, sock, identifier, waiting, min(_RETRY_S, timeout_s))
    return frozenset(IPv4Address(target) for target in waiting)


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
    while True:
        try:
            data, (source, _) = sock.recvfrom(256)
        except OSError:
            return
        header = (data[0] & 0x0F) * 4
        kind, _, _, ident, _ = struct.unpack_from("!BBHHH", data, header)
        if kind == _ECHO_REPLY and ident == identifier:
            waiting.discard(source)
