"""Runs on a host, a node or in a pod: dials, and sees by which machine's hands the reply comes.

A script of its own with nothing but the standard library, as `probe`. Its one argument is a JSON list of
targets, {host, port, attempts, timeout_s, watch, ingress}; it prints a list with the attempts at each: {who,
seen, error, mac, ttl, behind}. `mac` and `ttl` are of the first frame that answered, where it was to `watch`:
the sender's MAC address is that of the last machine on the way, the time to live tells how many routed the
reply. At an ingress controller `who` is its address, as the pod `behind` it sees it, and `seen` what it says of
its client.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

LINK = "eth0"
_EVERY_PROTOCOL = socket.htons(0x0003)
_SYN_ACK = 0x12
_SEEN_S = 30.0
"""A frame is seen before the connection is, but by another thread, which may have to wait for a CPU."""
_AT_ONCE = 8

Way = tuple[str, int]
"""(MAC address of the sender, time to live)."""
Flow = tuple[str, int, int]
"""(address and port of who answers, one's own port)."""


class Frames:
    """The answers to connections that come by this machine's link."""

    def __init__(self) -> None:
        self.ways: dict[Flow, Way] = {}
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, _EVERY_PROTOCOL)
        self._socket.bind((LINK, 0))
        threading.Thread(target=self._listen, daemon=True).start()

    def way(self, flow: Flow) -> Way:
        """How an answer came; ("", 0) where none was seen."""
        until_s = time.monotonic() + _SEEN_S
        while flow not in self.ways and time.monotonic() < until_s:
            time.sleep(0.005)
        return self.ways.get(flow, ("", 0))

    def _listen(self) -> None:
        while True:
            frame, where = self._socket.recvfrom(2048)
            if where[2] != socket.PACKET_OUTGOING and (found := read(frame)) is not None:
                self.ways.setdefault(*found)


def read(frame: bytes) -> tuple[Flow, Way] | None:
    """Of the answer to a SYN; None: it is something else."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == 0x0800:
        start, ttl, protocol = 14 + (frame[14] & 0xF) * 4, frame[22], frame[23]
        source = socket.inet_ntop(socket.AF_INET, frame[26:30])
    elif kind == 0x86DD:
        start, ttl, protocol = 54, frame[21], frame[20]
        source = socket.inet_ntop(socket.AF_INET6, frame[22:38])
    else:
        return None
    if protocol != socket.IPPROTO_TCP or frame[start + 13] & _SYN_ACK != _SYN_ACK:
        return None
    sport, dport = struct.unpack_from("!HH", frame, start)
    return (source, sport, dport), (frame[6:12].hex(":"), ttl)


def attempt(target: dict[str, Any], frames: Frames | None) -> dict[str, Any]:
    """One connection."""
    found = {"who": "", "seen": "", "error": "", "mac": "", "ttl": 0, "behind": ""}
    where = (target["host"], target["port"])
    try:
        with socket.create_connection(where, target["timeout_s"]) as sock:
            found |= through_ingress(sock) if target.get("ingress") else straight(sock)
            if frames is not None:
                flow = (target["host"], target["port"], sock.getsockname()[1])
                found["mac"], found["ttl"] = frames.way(flow)
    except (OSError, http.client.HTTPException) as error:
        found["error"] = "timeout" if isinstance(error, TimeoutError) else type(error).__name__
    return found


def straight(sock: socket.socket) -> dict[str, Any]:
    """By lines. Raises OSError."""
    who = asked(sock, b"hostname\n")
    return {"who": who, "seen": address(asked(sock, b"clientip\n"))}


def through_ingress(sock: socket.socket) -> dict[str, Any]:
    """By requests on one connection, which one controller ends. Raises OSError, HTTPException."""
    link = http.client.HTTPConnection("ingress")
    link.sock = sock
    pages = []
    for page in ("/clientip", "/header?key=X-Forwarded-For", "/hostname"):
        link.request("GET", page)
        answer = link.getresponse()
        pages.append(answer.read().decode().strip())
        if answer.status != http.client.OK:
            raise http.client.HTTPException(f"status {answer.status}")
    who, seen, behind = pages
    return {"who": address(who), "seen": seen, "behind": behind}


def address(host_port: str) -> str:
    """Of address:port, without an IPv6 address's brackets."""
    return host_port.rpartition(":")[0].strip("[]")


def asked(sock: socket.socket, line: bytes) -> str:
    """A question and its answer. Raises OSError."""
    sock.sendall(line)
    answer = sock.recv(4096).decode().strip()
    if not answer:
        raise ConnectionResetError
    return answer


def main(targets: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The attempts at each target, side by side."""
    frames = None
    if any(target.get("watch") for target in targets):
        frames = Frames()

    def tried(target: dict[str, Any]) -> list[dict[str, Any]]:
        watching = frames if target.get("watch") else None
        return [attempt(target, watching) for _ in range(target["attempts"])]

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(tried, targets))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(main(json.loads(sys.argv[1]))))
