"""Run inside a sandbox: records a node that forwards a service to a pod; prints JSON.

The node gets its first rule, and with it its conntrack hooks, when the recorder listens already.
`python recorder_scenario.py FOLDER CONNECTIONS`
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

from testbed.kernel import netns
from testbed.traffic import recorder
from testbed.traffic.conntrack import read_entries

NODE_IP, POD_IP, SERVICE_IP = "10.0.0.1", "10.0.0.2", "10.96.0.1"
PORT_BEFORE_RULES = 20_000
SERVICE = "-d 10.96.0.1 -p tcp --dport 80"


def command(line: str) -> None:
    subprocess.run(line.split(), check=True)


def pod_behind(node: int) -> int:
    """A namespace with POD_IP, wired to the node's; returns its descriptor."""
    with netns.entered(node):
        netns.unshare(netns.CLONE_NEWNET)
        pod = netns.current()
        command("ip link set lo up")
        command(f"ip link add eth0 type veth peer name pod0 netns /proc/{os.getpid()}/fd/{node}")
        command(f"ip addr add {POD_IP}/24 dev eth0")
        command("ip link set eth0 up")
        command(f"ip route add default via {NODE_IP}")
    command(f"ip addr add {NODE_IP}/24 dev pod0")
    command("ip link set pod0 up")
    command(f"ip route add {SERVICE_IP} via {POD_IP}")
    return pod


def accept_all(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


def connect(address: tuple[str, int], port: int | None = None) -> int:
    """Connect and read to the end; returns the port that the connection came from (None: any)."""
    source = None if port is None else ("", port)
    with socket.create_connection(address, timeout=60, source_address=source) as sock:
        used: int = sock.getsockname()[1]
        sock.recv(1)
        return used


def forgotten(port: int) -> None:
    """Return when the kernel has no connection from `port` any more: its last packet has arrived."""
    while f":{port:04X} " in Path("/proc/thread-self/net/tcp").read_text():
        time.sleep(0.001)


def start_recorder(nodes: dict[str, Any], output: Path) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        recorder.main({"nodes": nodes, "output": str(output), "destroy": True}, theirs)
        os._exit(0)
    theirs.close()
    return pid, ours


def main(folder: Path, count: int) -> dict[str, Any]:
    command("ip link set lo up")
    node = netns.current()
    pod = pod_behind(node)
    with netns.entered(pod):
        listener = socket.create_server((POD_IP, 8080), backlog=4096)
    output = folder / "entries"
    nodes = {"n0": f"/proc/{os.getpid()}/fd/{pod}", "n1": node}
    pid, channel = start_recorder(nodes, output)
    lines = channel.makefile("r")

    def ask(message: dict[str, Any]) -> dict[str, Any]:
        channel.sendall(json.dumps(message).encode() + b"\n")
        answer: dict[str, Any] = json.loads(lines.readline())
        return answer

    ready = json.loads(lines.readline())
    server = Thread(target=accept_all, args=(listener,), daemon=True)
    server.start()
    # Its port is none that the kernel picks: the pod, which closes first, remembers it in TIME_WAIT, and a
    # connection through the service from the same port would need a second try and a second entry.
    before_rules = connect((POD_IP, 8080), PORT_BEFORE_RULES)
    forgotten(PORT_BEFORE_RULES)
    command(f"iptables -t nat -A OUTPUT {SERVICE} -j DNAT --to-destination {POD_IP}:8080")
    ports = [connect((SERVICE_IP, 80)) for _ in range(count)]
    flushed = ask({"flush": 7})
    rows = read_entries(output)
    command("conntrack -F")
    destroyed = ask({"flush": 8})
    counters = ask({"counters": 9})
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    return {
        "ready": ready,
        "before_rules": before_rules,
        "ports": ports,
        "rows": json.loads(rows.to_json(orient="records")),
        "flushed": flushed,
        "destroyed": destroyed,
        "events": read_entries(output)["event"].value_counts().to_dict(),
        "counters": counters,
        "code": os.waitstatus_to_exitcode(status),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
