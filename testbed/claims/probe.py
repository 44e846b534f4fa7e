"""Runs in a pod, on a node or on a host: dials, looks names up, keeps watch, and prints what it saw.

A script of its own with nothing but the standard library: it starts in 20 ms, where the package takes 200.
Its one argument is a JSON object with the keys of `JOBS`; it prints one with the same keys.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PERIOD_S = 0.01
"""Between two attempts of a stream that is watched."""
MOST_FLOWS = 60
"""How many flows are begun in search of one to the backend that is to be watched."""


def connected(target: dict[str, Any]) -> socket.socket:
    """A socket that has dialled. Raises OSError."""
    sock = socket.socket(socket.AF_INET, KINDS[target.get("protocol", "tcp")])
    sock.settimeout(target.get("timeout_s", 2.0))
    try:
        sock.connect((target["host"], target["port"]))
    except OSError:
        sock.close()
        raise
    return sock


def ask(sock: socket.socket, line: bytes) -> str:
    """One question and its answer. Raises OSError where none comes."""
    sock.sendall(line)
    answer = sock.recv(4096).decode().strip()
    if not answer:
        raise ConnectionResetError("closed")
    return answer


def dial(target: dict[str, Any]) -> dict[str, Any]:
    """One new connection: who answers, whom it saw, what the socket calls its two ends."""
    began_s = time.monotonic()
    try:
        with connected(target) as sock:
            who = ask(sock, b"hostname\n")
            seen = ask(sock, b"clientip\n")
            own, peer = (joined(one) for one in (sock.getsockname(), sock.getpeername()))
    except OSError as error:
        return {**target, "who": "", "error": kind_of(error)}
    took_us = (time.monotonic() - began_s) * 1e6
    return {**target, "who": who, "seen": seen, "own": own, "peer": peer, "took_us": round(took_us)}


def joined(address: tuple[Any, ...]) -> str:
    return f"{address[0]}:{address[1]}"


def kind_of(error: OSError) -> str:
    """`refused`, `timeout`, or the error's own words."""
    if isinstance(error, TimeoutError):
        return "timeout"
    return "refused" if isinstance(error, ConnectionRefusedError) else str(error)


def look_up(name: str) -> dict[str, Any]:
    """What the C library makes of a name."""
    try:
        found = socket.getaddrinfo(
            name, None, socket.AF_INET, socket.SOCK_STREAM, 0, socket.AI_CANONNAME
        )
    except OSError as error:
        return {"name": name, "addresses": [], "error": str(error)}
    return {"name": name, "addresses": sorted({str(one[4][0]) for one in found}), "error": ""}


def hold(target: dict[str, Any]) -> list[str]:
    """Connections that are all open at once, one begun after the other: who has each."""
    socks: list[socket.socket] = []
    found = []
    try:
        for _ in range(target["connections"]):
            socks.append(connected(target))
            found.append(ask(socks[-1], b"hostname\n"))
    except OSError as error:
        found.append(f"error: {kind_of(error)}")
    finally:
        for sock in socks:
            sock.close()
    return found


def watch(stream: dict[str, Any]) -> list[list[Any]]:
    """Rows [start in ns of CLOCK_MONOTONIC, who answered, what went wrong], until the time is over.

    `kept`: requests on one flow that leads to `backend` (any, where it is not named) until the flow breaks;
    else every request dials anew.
    """
    rows: list[list[Any]] = []
    sock = flow_to(stream) if stream["kept"] else None
    if stream["kept"] and sock is None:
        return rows
    ends_s = time.monotonic() + stream["duration_s"]
    while time.monotonic() < ends_s:
        began_ns = time.monotonic_ns()
        broken = False
        try:
            if sock is not None:
                rows.append([began_ns, ask(sock, b"hostname\n"), ""])
            else:
                with connected(stream) as fresh:
                    rows.append([began_ns, ask(fresh, b"hostname\n"), ""])
        except OSError as error:
            rows.append([began_ns, "", kind_of(error)])
            broken = sock is not None and stream.get("protocol", "tcp") == "tcp"
        if broken:
            break
        time.sleep(max(0.0, PERIOD_S - (time.monotonic_ns() - began_ns) / 1e9))
    if sock is not None:
        sock.close()
    return rows


def flow_to(stream: dict[str, Any]) -> socket.socket | None:
    """A flow that leads to the backend that is asked for; None where no attempt leads there."""
    for _ in range(MOST_FLOWS):
        try:
            sock = connected(stream)
            if ask(sock, b"hostname\n") == stream.get("backend", "") or not stream.get("backend"):
                return sock
            sock.close()
        except OSError:
            continue
    return None


def signalled(name: str) -> int:
    """Send a signal to every other process of this network namespace; returns to how many.

    On a node of mode userspace that is the proxy's process: pods have namespaces of their own.
    """
    mine = os.stat("/proc/self/ns/net").st_ino
    kin = ancestors()
    found = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in kin:
            continue
        try:
            if os.stat(f"/proc/{entry}/ns/net").st_ino == mine:
                os.kill(int(entry), getattr(signal, name))
                found += 1
        except OSError:  # it has ended, or is none of ours
            continue
    return found


def ancestors() -> set[int]:
    """This process and those that started it."""
    found, pid = set(), os.getpid()
    while pid > 0:
        found.add(pid)
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return found


JOBS: dict[str, Callable[[Any], Any]] = {
    "dial": dial,
    "look_up": look_up,
    "hold": hold,
    "watch": watch,
    "signal": signalled,
}
"""What can be asked for: a list of each, done side by side."""


def main(wanted: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The answers to everything that is wanted, in its order."""
    watched = len(wanted.get("watch", ()))
    with ThreadPoolExecutor(16 + watched) as pool:
        pending = {
            name: [pool.submit(JOBS[name], one) for one in several]
            for name, several in wanted.items()
        }
        return {name: [one.result() for one in several] for name, several in pending.items()}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
