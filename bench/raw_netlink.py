"""The least that wires pods: rtnetlink messages in a loop, no planning, no names, no checks.

The peer of our own wiring. `python -m bench.raw_netlink NODES PODS` builds them in the namespaces
that it finds itself in, and prints the seconds. Per node: a namespace and its veth to a bridge. Per
pod: a namespace, loopback up, a veth pair, address, default route and neighbour in the pod, a route
and a neighbour on the node. The layouts are those of linux/rtnetlink.h.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from ipaddress import IPv4Address

from testbed.kernel import netns

_REQUEST_ACK = 0x5
_NEW = 0x600  # NLM_F_CREATE | NLM_F_EXCL
_NEWLINK, _NEWADDR, _NEWROUTE, _NEWNEIGH = 16, 20, 24, 28
_MAC = bytes.fromhex("0200ffffff01")
_GATEWAY = IPv4Address("169.254.1.1").packed


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, flags | _REQUEST_ACK, 0, 0) + payload


def link_up(index: int) -> bytes:
    return message(_NEWLINK, 0, struct.pack("=BxHiII", 0, 0, index, 1, 1))


def bridge(index: int) -> bytes:
    info = attribute(18, attribute(1, b"bridge"))
    header = struct.pack("=BxHiII", 0, 0, index, 1, 1)
    return message(_NEWLINK, _NEW, header + attribute(3, b"br0\0") + info)


def veth(index: int, peer_namespace: int, master: int = 0, mac: bytes = _MAC) -> bytes:
    """Link `index` here, up, and `eth0` (link 2) with `mac` in `peer_namespace`."""
    name = attribute(3, f"v{index}".encode() + b"\0") + attribute(1, _MAC)
    if master:
        name += attribute(10, struct.pack("=I", master))
    peer = struct.pack("=BxHiII", 0, 0, 2, 0, 0) + attribute(3, b"eth0\0") + attribute(1, mac)
    peer += attribute(28, struct.pack("=I", peer_namespace))
    info = attribute(18, attribute(1, b"veth") + attribute(2, attribute(1, peer)))
    return message(_NEWLINK, _NEW, struct.pack("=BxHiII", 0, 0, index, 1, 1) + name + info)


def address(packed: bytes, prefix: int, index: int) -> bytes:
    header = struct.pack("=BBBBI", 2, prefix, 0, 0, index)
    return message(_NEWADDR, _NEW, header + attribute(2, packed) + attribute(1, packed))


def route(packed: bytes, prefix: int, index: int, via: bytes = b"") -> bytes:
    scope, onlink = (0, 4) if via else (253, 0)
    payload = struct.pack("=BBBBBBBBI", 2, prefix, 0, 0, 254, 4, scope, 1, onlink)
    payload += attribute(1, packed) if prefix else b""
    payload += attribute(4, struct.pack("=I", index)) + (attribute(5, via) if via else b"")
    return message(_NEWROUTE, _NEW, payload)


def neighbour(packed: bytes, index: int) -> bytes:
    header = struct.pack("=BxxxiHBB", 2, index, 0x80, 0, 1)
    return message(_NEWNEIGH, _NEW, header + attribute(1, packed) + attribute(2, _MAC))


def exchange(sock: socket.socket, *messages: bytes) -> None:
    """Send all at once, take all acknowledgements. Raises OSError for the first refusal."""
    sock.send(b"".join(messages))
    waiting = len(messages)
    while waiting:
        data = sock.recv(65536)
        while data:
            length, _, _, _, _, error = struct.unpack_from("=IHHIIi", data)
            if error:
                raise OSError(-error, os.strerror(-error))
            data = data[(length + 3) & ~3 :]
            waiting -= 1


def netlink() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)


def build(nodes: int, pods_per_node: int) -> list[int]:
    """Wire everything; returns the namespaces, which live as long as these descriptors."""
    switch, here = netns.current(), netlink()
    exchange(here, link_up(1), bridge(2))
    namespaces = [switch]
    for node_number in range(nodes):
        netns.unshare(netns.CLONE_NEWNET)
        node, on_node = netns.current(), netlink()
        namespaces.append(node)
        node_ip = (IPv4Address("172.18.0.2") + node_number).packed
        exchange(here, veth(10 + node_number, node, master=2, mac=b"\2\0" + node_ip))
        exchange(on_node, link_up(1), link_up(2), address(node_ip, 16, 2))
        for pod_number in range(pods_per_node):
            pod_ip = (IPv4Address("10.244.0.2") + 256 * node_number + pod_number).packed
            netns.unshare(netns.CLONE_NEWNET)
            pod, in_pod = netns.current(), netlink()
            namespaces.append(pod)
            link = 10 + pod_number
            exchange(on_node, veth(link, pod), route(pod_ip, 32, link), neighbour(pod_ip, link))
            exchange(
                in_pod,
                link_up(1),
                link_up(2),
                address(pod_ip, 32, 2),
                neighbour(_GATEWAY, 2),
                route(b"", 0, 2, via=_GATEWAY),
            )
            in_pod.close()
        on_node.close()
        netns.setns(switch)
    return namespaces


def main() -> None:
    nodes, pods_per_node = map(int, sys.argv[1:])
    start = time.monotonic()
    build(nodes, pods_per_node)
    print(time.monotonic() - start)


if __name__ == "__main__":
    main()
