"""Run inside a sandbox: names resolved by the generator, many pods in one server; prints JSON.

`python traffic_scenario.py FOLDER PODS`
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.dns import chain_server as dns
from testbed.kernel import netns
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service, ServicePort
from testbed.traffic import echo, generator
from testbed.traffic.samples import read

DNS_IP, WEB_IP, SILENT_IP, NOBODY_IP = "127.0.0.10", "127.0.0.2", "127.0.0.11", "127.0.0.12"
WEB = Service(ObjectMeta("web", "default"), (ServicePort(80),), cluster_ips=(WEB_IP,))
SEARCH = (
    "search default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:30\n"
)
DRAIN_S = 20.0
"""Long for an answer, too short for a resolver that waits for its timeout."""


def started(main: Callable[[dict[str, Any], socket.socket], None], config: Any) -> socket.socket:
    """The supervisor's end of a child's channel, once the child has said that it is ready."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        main(config, theirs)
        os._exit(0)
    theirs.close()
    assert b"ready" in ours.recv(4096)
    return ours


def loaded(folder: Path, nameserver: str, host: str, **spec: Any) -> list[dict[str, Any]]:
    """Samples of a short load by name, as rows."""
    defaults = {"source": "client", "url": f"http://{host}/hostname", "rate_rps": 50}
    config = {
        "spec": defaults
        | {"arrivals": "constant", "duration_s": 0.2}
        | {"timeout_s": 60, "drain_s": DRAIN_S}
        | spec,
        "output": str(folder / "samples"),
        "resolv_conf": f"{SEARCH}nameserver {nameserver}\n",
    }
    channel = started(generator.main, config)
    while channel.recv(4096):
        pass
    columns = ["outcome", "target", "backend", "start_ns", "resolved_ns", "end_ns"]
    rows: list[dict[str, Any]] = json.loads(
        read(folder / "samples")[columns].to_json(orient="records")
    )
    return rows


def namespaces(count: int) -> list[int]:
    """Descriptors of fresh network namespaces, each with its loopback up."""
    made = []
    here = netns.current()
    for _ in range(count):
        netns.unshare(netns.CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        made.append(netns.current())
    netns.setns(here)
    return made


def names_of_shared_pods(count: int) -> list[str]:
    """What each pod of one server says of itself, asked in its namespace."""
    places = namespaces(count)
    pods = [{"pod": f"web-{index}", "port": 8080, "netns": fd} for index, fd in enumerate(places)]
    channel = started(echo.main, {"pods": pods, "log": None})
    names = []
    for fd in places:
        with netns.entered(fd), socket.create_connection(("127.0.0.1", 8080)) as sock:
            sock.sendall(b"hostname\n")
            names.append(sock.recv(100).decode().strip())
    channel.close()
    return names


def main() -> None:
    folder, pods = Path(sys.argv[1]), int(sys.argv[2])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    feed = started(dns.main, {"listen": [DNS_IP], "corefile": ". {\n kubernetes cluster.local\n}"})
    line = {"objects": [to_manifest(WEB)], "resource_version": 1, "synced": True}
    feed.sendall(json.dumps(line).encode() + b"\n")
    web = {"pod": "web-0", "listen": [WEB_IP], "port": 80, "netns": None}
    backend = started(echo.main, {"pods": [web], "log": None})
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind((SILENT_IP, 53))
    found = {
        "short": loaded(folder, DNS_IP, "web"),
        "full": loaded(folder, DNS_IP, "web.default.svc.cluster.local"),
        "once": loaded(folder, DNS_IP, "web", resolve="once"),
        "unknown": loaded(folder, DNS_IP, "wob"),
        "nobody": loaded(folder, NOBODY_IP, "web"),
        "silent": loaded(folder, SILENT_IP, "web", timeout_s=0.05),
        "shared": names_of_shared_pods(pods),
    }
    backend.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
