"""Runs in a pod: makes connections in the patterns that were reported, and prints what became of them.

A script of its own with nothing but the standard library, as `testbed.claims.probe`. Its one argument is a JSON
object with keys of `JOBS`, each with what that job is given; it prints a line when it has begun, and at its end
an object with the same keys. Jobs that go on for as long as they may end with its input.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 5.0
TOTAL_RETRANS_AT = 100
"""tcpi_total_retrans in struct tcp_info (linux/tcp.h)."""
HOPELESS = 5
"""Pairs in a row of which nothing comes."""
OVER = threading.Event()


def listen() -> None:
    """Until standard input ends; then it is over."""
    while os.read(0, 1):
        pass
    OVER.set()


def connected(host: str, port: int, own_port: int = 0) -> socket.socket:
    """Raises OSError."""
    sock = socket.socket()
    sock.settimeout(PATIENCE_S)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if own_port:
            sock.bind(("", own_port))
        sock.connect((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def ask(sock: socket.socket) -> str:
    """Who is at the other end. Raises OSError."""
    sock.sendall(b"hostname\n")
    answer = sock.recv(4096).decode().strip()
    if not answer:
        raise ConnectionResetError("closed")
    return answer


def bursts(wanted: dict[str, Any]) -> list[list[str]]:
    """Bursts of `size` connections; `held`: open at once, else each is closed before the next."""
    found = []
    for _ in range(wanted["count"]):
        socks, who = [], []
        for _ in range(wanted["size"]):
            sock = connected(wanted["host"], wanted["port"])
            who.append(ask(sock))
            socks.append(sock)
            if not wanted["held"]:
                sock.close()
        for sock in socks:
            sock.close()
        found.append(who)
    return found


def clients(wanted: dict[str, Any]) -> list[list[str]]:
    """Clients that keep `connections` each and send `requests` on every one: who answered each request."""
    found = []
    for _ in range(wanted["count"]):
        socks = [connected(wanted["host"], wanted["port"]) for _ in range(wanted["connections"])]
        found.append([ask(sock) for sock in socks for _ in range(wanted["requests"])])
        for sock in socks:
            sock.close()
    return found


class Reconnecting:
    """A client that asks on one connection for as long as it may, and dials again where that breaks."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self.wanted = wanted
        self.who = ""
        self.broke = 0
        self.sock: socket.socket | None = None
        self.once()

    def once(self) -> None:
        try:
            if self.sock is None:
                self.sock = connected(self.wanted["host"], self.wanted["port"])
            self.who = ask(self.sock)
        except OSError:
            self.broke += 1
            if self.sock is not None:
                self.sock.close()
            self.sock = None

    def go_on(self) -> None:
        while not OVER.is_set():
            time.sleep(self.wanted["period_s"])
            self.once()


def reconnecting(wanted: dict[str, Any]) -> list[list[Any]]:
    """Where each client is before and after: [who at first, who in the end, how often it broke]."""
    several = [Reconnecting(wanted) for _ in range(wanted["connections"])]
    first = [one.who for one in several]
    begun()
    threads = [threading.Thread(target=one.go_on) for one in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [[who, one.who, one.broke] for who, one in zip(first, several, strict=True)]


def same_ports(wanted: dict[str, Any]) -> list[list[Any]]:
    """Each port dials, is closed by who answers, and dials again, in turn: rows [start in ns, port, who
    answered, error, SYNs and segments sent again]. Until its input ends, or `rounds` are over.
    """
    request = b"GET /hostname HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    rows: list[list[Any]] = []
    begun()
    rounds = 0
    while not OVER.is_set() and rounds != wanted.get("rounds"):
        rounds += 1
        for port in wanted["own_ports"]:
            began_ns = time.monotonic_ns()
            try:
                with connected(wanted["host"], wanted["port"], port) as sock:
                    sock.sendall(request)
                    text = b""
                    while data := sock.recv(4096):
                        text += data
                    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
                    again = struct.unpack_from("I", info, TOTAL_RETRANS_AT)[0]
                rows.append([began_ns, port, text.decode().rpartition("\r\n")[2], "", again])
            except OSError as error:
                rows.append([began_ns, port, "", str(error), 0])
        time.sleep(wanted["period_s"])
    return rows


def query(name: str, kind: int, number: int) -> bytes:
    """A DNS question (RFC 1035)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!B2H", 0, kind, 1)


def race(wanted: dict[str, Any]) -> dict[str, Any]:
    """Pairs of A and AAAA from one socket at the same instant, by two processes on two CPUs: how many
    answers of each pair came. `cpus`: how many there are; with one nothing can be sent at once.
    """
    cpus = two_cpus()
    if not cpus:
        return {"cpus": 1, "answers": []}
    socks = []
    for _ in range(wanted["pairs"]):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((wanted["host"], wanted["port"]))
        socks.append(sock)
    shared = mmap.mmap(-1, 16)
    child = os.fork()
    if child == 0:
        try:
            os.sched_setaffinity(0, cpus[1:])
            for number, sock in enumerate(socks, 1):
                meet(shared, 8, 0, number)
                sock.send(query(wanted["name"], 28, 2))
        finally:
            os._exit(0)
    os.sched_setaffinity(0, cpus[:1])
    answers = []
    for number, sock in enumerate(socks, 1):
        meet(shared, 0, 8, number)
        sock.send(query(wanted["name"], 1, 1))
        answers.append(received(sock, 2, wanted["timeout_s"]))
        if answers[-HOPELESS:] == [0] * HOPELESS:
            break  # nobody is there
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    # What came late has not been lost: the machine may be busy.
    late = [received(sock, 2 - came, 0.0) for came, sock in zip(answers, socks, strict=False)]
    return {"cpus": len(cpus), "answers": [a + b for a, b in zip(answers, late, strict=True)]}


def two_cpus() -> list[int]:
    """Two of the machine's CPUs that this process may use; none where it has but one. What is pinned to one
    of several may leave it.
    """
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[:2] if len(cpus) > 1 else []


def meet(shared: mmap.mmap, mine: int, other: int, number: int) -> None:
    """Return when both processes have come to this pair; each waits on its CPU for the other."""
    struct.pack_into("q", shared, mine, number)
    while struct.unpack_from("q", shared, other)[0] < number:
        pass


def received(sock: socket.socket, most: int, timeout_s: float) -> int:
    """How many datagrams come, each within the time."""
    sock.settimeout(timeout_s)
    for came in range(most):
        try:
            sock.recv(4096)
        except OSError:
            return came
    return most


def begun() -> None:
    """Tell whoever started this that it is under way."""
    print("started", flush=True)


JOBS: dict[str, Callable[[Any], Any]] = {
    "bursts": bursts,
    "clients": clients,
    "reconnecting": reconnecting,
    "same_ports": same_ports,
    "race": race,
}


if __name__ == "__main__":
    threading.Thread(target=listen, daemon=True).start()
    print(json.dumps({name: JOBS[name](given) for name, given in json.loads(sys.argv[1]).items()}))
