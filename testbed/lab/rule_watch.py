"""Listens to what the kernel of each node tells of traced packets: one process, a socket per node.

It changes one thing of a node: with iptables-legacy, the namespace's log goes to nfnetlink_log while it runs.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
from contextlib import suppress
from typing import Any

from testbed.kernel import netns
from testbed.trace.rule_events import Hit, of_log, of_nft
from testbed.traffic import ctnetlink
from testbed.traffic.channel import TERMINATED, Channel

# linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_log.h; Python's socket module lacks them.
_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GROUP_NFTRACE = 9
_MSG_TRACE = 10 << 8 | 17
_MSG_LOG_PACKET, _MSG_LOG_CONFIG = 4 << 8, 4 << 8 | 1
_CFG_CMD, _CFG_QTHRESH = 1, 5
_BIND, _PF_BIND, _PF_UNBIND = 1, 3, 4
_REQUEST_ACK = 0x1 | 0x4
_HEADER = struct.Struct("=IHHII")
_RECEIVE_BYTES = 1 << 17
_RECEIVE_BUFFER = 8 << 20


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Listen until told to stop.

    `config`: {"nodes": {"n1": {"netns": path, "tool": "nft" or "legacy"}}, "family": 2 or 10}. Says {"ready":
    true, "deaf": {node: why}} once it listens wherever it can; answers {"flush": 1} with {"hits": {node: […]},
    "lost": n}.
    """
    control = Channel(channel)
    ears: dict[str, _Ear] = {}
    deaf: dict[str, str] = {}
    for node, place in config["nodes"].items():
        try:
            ears[node] = _Ear(place["netns"], place["tool"], config["family"])
        except OSError as error:
            deaf[node] = error.strerror or str(error)
    control.say({"ready": True, "deaf": deaf})
    with selectors.DefaultSelector() as selector:
        for ear in ears.values():
            selector.register(ear.socket, selectors.EVENT_READ, ear)
        for fd in control.fds:
            selector.register(fd, selectors.EVENT_READ)
        while True:
            ready = [key.data for key, _ in selector.select()]
            for ear in filter(None, ready):
                ear.take()
            for message in control.receive() if None in ready else ():
                if "flush" in message:
                    control.say(_told(ears))
                elif message == TERMINATED:
                    for ear in ears.values():
                        ear.close()
                    return


def _told(ears: dict[str, _Ear]) -> dict[str, Any]:
    for ear in ears.values():
        ear.take()
    hits = {node: [hit.to_json() for hit in ear.hits] for node, ear in ears.items()}
    return {"hits": hits, "lost": sum(ear.lost for ear in ears.values())}


class _Ear:
    """One node's."""

    def __init__(self, place: str, tool: str, family: int) -> None:
        """Raises OSError where the kernel has no such messages."""
        self.hits: list[Hit] = []
        self.lost = 0
        self._logged = family if tool == "legacy" else 0
        with netns.entered(place):
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if self._logged:
            self._configure(_PF_BIND, family)
            self._configure(_BIND, 0)
        else:
            self.socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTRACE)
        self.socket.setblocking(False)

    def take(self) -> None:
        """Whatever has come."""
        with suppress(BlockingIOError):
            while True:
                try:
                    data = self.socket.recv(_RECEIVE_BYTES)
                except OSError as error:
                    if isinstance(error, BlockingIOError):
                        raise
                    self.lost += 1
                    continue
                for kind, payload in ctnetlink.messages(data):
                    hit = None
                    if kind == _MSG_TRACE:
                        hit = of_nft(payload)
                    elif kind == _MSG_LOG_PACKET:
                        hit = of_log(payload)
                    if hit is not None:
                        self.hits.append(hit)

    def close(self) -> None:
        if self._logged:
            self.socket.setblocking(True)
            with suppress(OSError):
                self._configure(_PF_UNBIND, self._logged)
        self.socket.close()

    def _configure(self, command: int, family: int) -> None:
        """One command to nfnetlink_log (group 0), and with `bind` every packet at once. Raises OSError."""
        value = struct.pack("=HHB3x", 5, _CFG_CMD, command)
        if command == _BIND:
            value += struct.pack("=HH", 8, _CFG_QTHRESH) + struct.pack("!I", 1)
        size = _HEADER.size + 4 + len(value)
        message = _HEADER.pack(size, _MSG_LOG_CONFIG, _REQUEST_ACK, 1, 0)
        self.socket.send(message + struct.pack("!BBH", family, 0, 0) + value)
        answer = self.socket.recv(_RECEIVE_BYTES)
        (code,) = struct.unpack_from("=i", answer, _HEADER.size)
        if code:
            raise OSError(-code, os.strerror(-code))
