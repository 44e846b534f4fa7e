"""Ports of the loopback for servers that have to be told one, and for places where nobody listens."""

from __future__ import annotations

import os
import socket
from itertools import count
from pathlib import Path

_FIRST = 10_000
_WORKERS = 16
"""Test processes that are kept apart: each has ports of its own."""
_tried = count()


def free_port() -> int:
    """A port that is free for TCP and UDP, and stays so: the kernel gives it to no socket that asks for any
    port, and no other test is told it.
    """
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
    room = (int(handed_out.split()[0]) - _FIRST) // _WORKERS
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    while True:
        port = _FIRST + worker * room + (os.getpid() + next(_tried)) % room
        try:
            with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                for sock in (tcp, udp):
                    sock.bind(("127.0.0.1", port))
        except OSError:  # somebody's who is no test
            continue
        return port
