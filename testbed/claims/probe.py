"""Runs in a pod, on a node or on a host: dials, looks names up, keeps watch, and prints what it saw.

A script of its own with nothing but the standard library: it starts in 20 ms, where the package takes 200.
Its one argument is a JSON object with the keys of `JOBS`, and `watch`. It prints a line when everything that it
watches has begun, and at its end an object with the same keys. It watches until its time is over, or its input
ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PERIOD_S = 0.01
"""Between two attempts of a stream that is watched."""
SILENCE_S = 5.0
MOST_FLOWS = 60
"""How many flows are begun in search of one to the backend that is to be watched."""


def connected(target: dict[str, Any]) -> socket.socket:
    """A socket that has dialled. Raises OSError."""
    sock = socket.socket(socket.AF_INET, KINDS[target.get("protocol", "tcp")])
    sock.settimeout(target.get("timeout_s", SILENCE_S))
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
    """One new connection: who answers, whom it saw, what the socket calls its two ends.

    Silence is judged by the clock, and a machine may be busy: who meets it dials once more.
    """
    try:
        return dialled(target)
    except TimeoutError:
        pass
    except OSError as error:
        return {**target, "who": "", "error": kind_of(error)}
    try:
        return dialled(target)
    except OSError as error:
        return {**target, "who": "", "error": kind_of(error)}


def dialled(target: dict[str, Any]) -> dict[str, Any]:
    """Raises OSError."""
    began_s = time.monotonic()
    with connected(target) as sock:
        who = ask(sock, b"hostname\n")
        seen = ask(sock, b"clientip\n")
        own, peer = (joined(one) for one in (sock.getsockname(), sock.getpeername()))
    took_us = round((time.monotonic() - began_s) * 1e6)
    return {**target, "who": who, "error": "", "seen": seen, "own": own, "peer": peer} | {
        "took_us": took_us
    }


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


def look_back(address: str) -> dict[str, Any]:
    """What the C library makes of an address: its names."""
    try:
        name, others, _ = socket.gethostbyaddr(address)
    except OSError as error:
        return {"name": address, "found": [], "error": str(error)}
    return {"name": address, "found": sorted({name, *others}), "error": ""}


def fetch(target: dict[str, Any]) -> dict[str, Any]:
    """The status of an HTTP answer; 0 where none came."""
    request = f"GET {target['path']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    try:
        with connected(target) as sock:
            words = ask(sock, request.encode()).split()
    except OSError as error:
        return {**target, "status": 0, "error": kind_of(error)}
    return {**target, "status": int(words[1]), "error": ""}


def get(target: dict[str, Any]) -> dict[str, Any]:
    """GETs of a path from `name`, `times` on one connection; over TLS where there is a `ca` to verify by."""
    from http.client import HTTPConnection, HTTPException  # takes as long to import as all the rest

    found: dict[str, Any] = {"own": "", "answers": []}
    link = HTTPConnection(target["name"])
    link.auto_open = 0
    try:
        with secured(connected(target), target) as link.sock:
            found["own"] = joined(link.sock.getsockname())
            for _ in range(target["times"]):
                link.request("GET", target["path"])
                with link.getresponse() as answer:
                    body = answer.read().decode().strip()
                found["answers"].append({"status": answer.status, "body": body, "error": ""})
    except (OSError, HTTPException) as error:
        said = kind_of(error) if isinstance(error, OSError) else repr(error)
        found["answers"].append({"status": 0, "body": "", "error": said})
    return {**{key: target[key] for key in ("host", "port", "name", "path")}, **found}


def secured(sock: socket.socket, target: dict[str, Any]) -> socket.socket:
    """The same, or TLS on it. Raises OSError where the certificate is none for the target's name."""
    if "ca" not in target:
        return sock
    import ssl

    context = ssl.create_default_context(cadata=target["ca"])
    try:
        return context.wrap_socket(sock, server_hostname=target["name"])
    except OSError:
        sock.close()
        raise


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


OVER = threading.Event()
"""Standard input has ended: nobody wants to watch any longer."""


def listen() -> None:
    """Until standard input ends; then it is over."""
    while os.read(0, 1):
        pass
    OVER.set()


class Watch:
    """A stream of requests. `kept`: on one flow that leads to `backend` (any, where none is named; with
    `at_once` whether or not anybody answers yet), until it breaks; else every request dials anew.
    """

    def __init__(self, stream: dict[str, Any]) -> None:
        self.stream = stream
        self.sock = flow_to(stream) if stream["kept"] else None

    def rows(self, ends_s: float) -> list[list[Any]]:
        """Rows [start in ns of CLOCK_MONOTONIC, who answered, what went wrong], until it is over."""
        found: list[list[Any]] = []
        if self.stream["kept"] and self.sock is None:
            return found
        while time.monotonic() < ends_s and not OVER.is_set():
            began_ns = time.monotonic_ns()
            try:
                found.append([began_ns, self.answer(), ""])
            except OSError as error:
                found.append([began_ns, "", kind_of(error)])
                if self.sock is not None and self.stream.get("protocol", "tcp") == "tcp":
                    break
            period_s = self.stream.get("period_s", PERIOD_S)
            time.sleep(max(0.0, period_s - (time.monotonic_ns() - began_ns) / 1e9))
        if self.sock is not None:
            self.sock.close()
        return found

    def answer(self) -> str:
        """Who answers the next request. Raises OSError."""
        if self.sock is not None:
            return ask(self.sock, b"hostname\n")
        with connected(self.stream) as fresh:
            return ask(fresh, b"hostname\n")


def flow_to(stream: dict[str, Any]) -> socket.socket | None:
    """A flow that leads to the backend that is asked for; None where no attempt leads there."""
    if stream.get("at_once"):
        return connected(stream)
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
    "dial_in_turn": lambda targets: [dial(target) for target in targets],
    "look_up": look_up,
    "look_back": look_back,
    "hold": hold,
    "fetch": fetch,
    "get": get,
    "signal": signalled,
}
"""What can be asked for besides `watch`: a list of each, done side by side."""


def main(wanted: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The answers to everything that is wanted, in its order."""
    streams = wanted.pop("watch", [])
    threading.Thread(target=listen, daemon=True).start()
    with ThreadPoolExecutor(16 + len(streams)) as pool:
        watches = list(pool.map(Watch, streams))
        print("started", flush=True)
        now_s = time.monotonic()
        rows = [pool.submit(one.rows, now_s + one.stream["duration_s"]) for one in watches]
        pending = {
            name: [pool.submit(JOBS[name], one) for one in several]
            for name, several in wanted.items()
        }
        answers = {name: [one.result() for one in several] for name, several in pending.items()}
        return answers | {"watch": [one.result() for one in rows]}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
