"""A DNS server as its own process, as the lab runs it, on a free port of the loopback address."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from testbed.dns.client import resolve
from testbed.dns.search import pod_resolv_conf
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import Object

LOOPBACK = "127.0.0.1"
COREFILE = """
. {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
    }
    loadbalance
}
"""
_ASKING = pod_resolv_conf("default", "cluster.local", (LOOPBACK,))
_PROGRAM = """
import json, socket, sys
from testbed.dns.chain_server import main
main(json.loads(sys.argv[2]), socket.socket(fileno=int(sys.argv[1])))
"""


@dataclass
class RunningServer:
    """The process, and the supervisor's end of its channel."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    port: int

    def send(self, *lines: dict[str, Any]) -> None:
        self.channel.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))

    def sync(self, *objects: Object, resource_version: int = 1) -> None:
        manifests = [to_manifest(item) for item in objects]
        self.send({"objects": manifests, "resource_version": resource_version, "synced": True})

    def await_sync(self) -> None:
        """Return when it answers from what it was told."""
        deadline_s = time.monotonic() + 60
        while resolve("cluster.local.", _ASKING, self.port).queries[0].rcode == "SERVFAIL":
            assert time.monotonic() < deadline_s

    def change(self, kind: str, item: Object, resource_version: int = 2) -> None:
        changes = [{"type": kind, "object": to_manifest(item)}]
        self.send({"changes": changes, "resource_version": resource_version})

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def running_server(corefile: str = COREFILE) -> Iterator[RunningServer]:
    """A server that listens, but is not in sync yet; it has ended when the block ends."""
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    config = json.dumps({"listen": [LOOPBACK], "port": 0, "corefile": corefile})
    argv = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), config]
    process = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
    theirs.close()
    ready = json.loads(ours.makefile("rb").readline())
    assert ready["ready"] is True
    with ours:
        yield RunningServer(process, ours, ready["port"])
    try:
        process.wait(60)
    finally:
        process.kill()
        process.wait()
