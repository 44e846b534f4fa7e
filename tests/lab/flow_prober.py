"""Dials from inside a lab and says who answered, whom they saw, or how it failed.

Runs as a program until its input ends. A line of input is JSON: a list of {"route_via", "targets": [{"host",
"port", "protocol", "attempts", "timeout_s", "until", "failures", "source_port", "pause_s"}]}; `route_via`
(address, or "") is where packets to these hosts are to go first. A line of output is one list per target, of
`[who, source]` or `[error, ""]` per attempt. Attempts end early with the first failure of kind `until`, with
so many `failures`, or when a target that pauses has seen two that answer.
"""

from __future__ import annotations

import errno
import json
import random
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}

JITTER_S = 0.004
"""Between attempts: two clients in step would split a round robin between them, one backend each."""

PORTS = cycle(range(32768, 61000))
"""In turn, so that none comes twice: conntrack remembers for two minutes where a port's packets went, if only
into the void because there was no rule yet, and leads those of a new connection there, too.
"""

FAILURES = {
    ConnectionRefusedError: "refused",
    ConnectionResetError: "closed",
    TimeoutError: "dropped",
    PermissionError: "dropped",  # a datagram of the node's own
}


def attempt(target: dict[str, Any]) -> tuple[str, str]:
    """One new connection: (pod that answered, address that it saw), or (kind of failure, "")."""
    family = socket.AF_INET6 if ":" in target["host"] else socket.AF_INET
    with socket.socket(family, *KINDS[target["protocol"]]) as sock:
        sock.settimeout(target["timeout_s"])
        bind(sock, source_of(family, target), target.get("source_port", 0))
        try:
            sock.connect((target["host"], target["port"]))
            who = ask(sock, b"hostname\n")
            seen = ask(sock, b"clientip\n") if who else ""
        except OSError as error:
            return FAILURES.get(type(error), f"failed: {error}"), ""
    return (who, seen.rpartition(":")[0].strip("[]")) if who else ("closed", "")


def bind(sock: socket.socket, source: str, port: int) -> None:
    """To a port, or (0) to the next one that is free."""
    while True:
        try:
            sock.bind((source, port or next(PORTS)))
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
        else:
            return


def source_of(family: int, target: dict[str, Any]) -> str:
    """Which address to dial from; "": the kernel's choice.

    SCTP offers its peer all addresses of a socket that is bound to none, and no NAT translates those.
    """
    if target["protocol"] != "sctp":
        return ""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((target["host"], target["port"]))
        source: str = sock.getsockname()[0]
        return source


def ask(sock: socket.socket, line: bytes) -> str:
    """One question and its answer, on a connection or by a datagram."""
    sock.sendall(line)
    return sock.recv(4096).decode().strip()


def attempts(target: dict[str, Any]) -> list[tuple[str, str]]:
    """All attempts at one target."""
    found: list[tuple[str, str]] = []
    pause_s = target.get("pause_s", 0.0)
    failures = 0
    while len(found) < target["attempts"] and failures < target["failures"]:
        if pause_s and found:
            if len(set(found)) > 1:
                break
            time.sleep(pause_s)
        elif found:
            time.sleep(random.uniform(0.0, JITTER_S))
        found.append(attempt(target))
        failures += not found[-1][1]
        if found[-1][0] == target["until"]:
            break
    return found


def route(hosts: set[str], via: str) -> None:
    """Packets to `hosts` go to `via` first."""
    lines = [f"route replace {host} via {via}" for host in sorted(hosts)]
    family = "-6" if ":" in via else "-4"
    subprocess.run(["ip", family, "-batch", "-"], input="\n".join(lines), text=True, check=True)


def main() -> None:
    """Answer line by line."""
    with ThreadPoolExecutor(16) as pool:
        for line in sys.stdin:
            results: list[list[tuple[str, str]]] = []
            for group in json.loads(line):
                if group["route_via"]:
                    route({target["host"] for target in group["targets"]}, group["route_via"])
                results += pool.map(attempts, group["targets"])
            print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
