"""Dials from inside a lab and says who answered, whom they saw, or how it failed.

Runs as a program: JSON on the command line, `{"targets": [{"host", "port", "protocol", "attempts",
"timeout_s", "until", "source_port"}]}`; prints one list per target, of `[who, source]` or `[error, ""]` per
attempt. The attempts end early with the first failure of kind `until`.
"""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def attempt(target: dict[str, Any]) -> tuple[str, str]:
    """One new connection: (pod that answered, address that it saw), or (kind of failure, "")."""
    with socket.socket(socket.AF_INET, KINDS[target["protocol"]]) as sock:
        sock.settimeout(target["timeout_s"])
        sock.bind(("", target.get("source_port", 0)))
        try:
            sock.connect((target["host"], target["port"]))
            who = ask(sock, b"hostname\n")
            return who, ask(sock, b"clientip\n").rpartition(":")[0]
        except ConnectionRefusedError:
            return "refused", ""
        except TimeoutError:
            return "dropped", ""
        except OSError as error:
            return f"failed: {error}", ""


def ask(sock: socket.socket, line: bytes) -> str:
    """One question and its answer, on a connection or by a datagram."""
    sock.sendall(line)
    return sock.recv(4096).decode().strip()


def attempts(target: dict[str, Any]) -> list[tuple[str, str]]:
    """All attempts at one target."""
    found: list[tuple[str, str]] = []
    while len(found) < target["attempts"] and (target["until"], "") not in found:
        found.append(attempt(target))
    return found


if __name__ == "__main__":
    with ThreadPoolExecutor(16) as pool:
        print(json.dumps(list(pool.map(attempts, json.loads(sys.argv[1])["targets"]))))
