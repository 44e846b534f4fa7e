"""Connections through IPVS in a guest kernel: run there as its root, it prints a JSON object of what it saw.

Three namespaces: a client, node n1 with the rules of the flow table's plan, one with every pod's address.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from testbed.kernel import netns, sysctl
from testbed.kernel.run import run
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ruleset import Ruleset
from tests.addresses import EMPTY, PLAN, STICKY, WEB
from tests.flow import POD_PORT
from tests.guest.ipvs_scenario import planned

SCHEDULERS = ["rr", "wrr", "lc", "wlc", "sed", "nq", "sh", "dh", "lblc", "lblcr", "fo", "mh"]
CONNECTIONS = 24
DEADLINE_S = 120.0
SILENCE_S = 5.0
"""Who has not answered two SYNs, and was not refused."""


class Net:
    """The three namespaces, wired."""

    def __init__(self) -> None:
        self.client, self.node, self.pods = netns.create(), netns.create(), netns.create()
        gateway = PLAN.nodes["n1"]
        _ip(
            self.node,
            "link set lo up",
            f"link add eth0 type veth peer name eth0 netns {_path(self.client)}",
            f"link add eth1 type veth peer name eth0 netns {_path(self.pods)}",
            f"addr add {gateway}/24 dev eth0",
            "link set eth0 up",
            "link set eth1 up",
            "route add 10.244.0.0/16 dev eth1",
        )
        host = PLAN.hosts["client"]
        _ip(self.client, f"addr add {host}/24 dev eth0", "link set eth0 up")
        _ip(self.client, f"route add default via {gateway}")
        pods = [f"addr add {ip}/32 dev eth0" for ip in PLAN.pods.values()]
        _ip(self.pods, *pods, "link set eth0 up", f"route add {gateway} dev eth0", "link set lo up")
        _ip(self.pods, f"route add default via {gateway} dev eth0")
        with netns.entered(self.pods):
            sysctl.write([("ipv4/conf/all/arp_ignore", "0")])
        with netns.entered(self.node):
            settings = IpvsBackend("rr", "legacy").sysctls.items()
            names = [
                (name.removeprefix("net.").replace(".", "/"), value) for name, value in settings
            ]
            refused = sysctl.write([*names, ("ipv4/ip_forward", "1")])
        assert refused == [], refused


def _path(namespace: int) -> str:
    return f"/proc/{os.getpid()}/fd/{namespace}"


def _ip(namespace: int, *lines: str) -> None:
    with netns.entered(namespace):
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


class Pods(threading.Thread):
    """Answers on every pod's address: its own address first, then whatever it is sent."""

    def __init__(self, namespace: int) -> None:
        super().__init__(daemon=True)
        self.accepted: dict[tuple[str, int], socket.socket] = {}
        """By the peer that it sees."""
        self._selector = selectors.DefaultSelector()
        with netns.entered(namespace):
            for ip in PLAN.pods.values():
                listener = socket.create_server((ip, POD_PORT), backlog=64)
                self._selector.register(listener, selectors.EVENT_READ, "accept")

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                assert isinstance(key.fileobj, socket.socket)
                if key.data == "accept":
                    connection, peer = key.fileobj.accept()
                    self.accepted[peer] = connection
                    connection.sendall(connection.getsockname()[0].encode().ljust(16))
                    self._selector.register(connection, selectors.EVENT_READ, "echo")
                else:
                    self._echo(key.fileobj)

    def _echo(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(4096)
        except ConnectionResetError:
            data = b""
        if data:
            connection.sendall(data)
        else:
            self._selector.unregister(connection)
            connection.close()


class Node:
    """Node n1 and what its proxy has in force."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.rules: Ruleset | None = None

    def programme(self, state: str, scheduler: str = "rr") -> Ruleset:
        """Bring the node to a state of the flow table."""
        backend = IpvsBackend(scheduler, "legacy")
        want = planned(backend, state, "kube-proxy-1.36")
        with netns.entered(self.net.node):
            for command in backend.commands(self.rules, want):
                run(command)
        self.rules = replace(want, lingering=backend.lingering(self.rules, want))
        return self.rules

    def finish(self) -> int:
        """Remove what has ended; how many commands that took."""
        assert self.rules is not None
        backend = IpvsBackend("rr", "legacy")
        with netns.entered(self.net.node):
            commands, self.rules = backend.finish(run(backend.look(self.rules)).stdout, self.rules)
            for command in commands:
                run(command)
        return len(commands)

    def observed(self) -> Ruleset:
        backend = IpvsBackend("rr", "legacy")
        with netns.entered(self.net.node):
            return backend.parse(run(backend.observe()).stdout).own


@contextmanager
def dialled(net: Net, ip: str, port: int = 80) -> Iterator[tuple[socket.socket, str]]:
    """A connection of the client, and the pod that has it."""
    with netns.entered(net.client):
        connection = socket.create_connection((ip, port), timeout=60.0)
    with connection:
        yield connection, connection.recv(16, socket.MSG_WAITALL).decode().strip()


def picks(net: Net, ip: str, number: int) -> Counter[str]:
    """Who gets connections that are open at the same time."""
    with ExitStack() as opened:
        return Counter(opened.enter_context(dialled(net, ip))[1] for _ in range(number))


def balance(net: Net) -> dict[str, object]:
    """How each scheduler shares out 24 connections to four pods, and what affinity makes of it."""
    node = Node(net)
    found: dict[str, object] = {}
    for scheduler in SCHEDULERS:
        node.programme("scaled up", scheduler)
        found[scheduler] = sorted(picks(net, WEB, CONNECTIONS).values())
    node.programme("scaled up", "ovf")
    found["ovf"] = overflow(net)
    found["sticky"] = len(picks(net, STICKY, 8))
    found["empty"] = refusal(net, EMPTY, 80)
    found["no such port"] = refusal(net, WEB, 81)
    try:
        node.programme("base", "twos")
        found["twos"] = "works"
    except Exception as error:
        found["twos"] = str(error)
    return found


def overflow(net: Net) -> int:
    """How many connections are open when the next one is refused: each pod takes one beyond its weight, 1."""
    with ExitStack() as opened:
        for number in range(CONNECTIONS):
            try:
                opened.enter_context(dialled(net, WEB))
            except ConnectionRefusedError:
                return number
    return CONNECTIONS


def refusal(net: Net, ip: str, port: int) -> str:
    try:
        with dialled(net, ip, port) as (_, pod):
            return f"answered by {pod}"
    except OSError as error:
        return type(error).__name__


def known_port(net: Net) -> dict[str, object]:
    """Whether a pod that is dialled directly answers on a port that IPVS knows with it, and on another one."""
    Node(net).programme("base")
    pod = said(net, (WEB, 80), 5001, DEADLINE_S)
    direct = pod, POD_PORT
    return {
        "known": said(net, direct, 5001, SILENCE_S),
        "fresh": said(net, direct, 5002, DEADLINE_S) == pod,
    }


def said(net: Net, where: tuple[str, int], source_port: int, patience_s: float) -> str:
    """Which pod answered on a port of the client's, or the kind of failure."""
    with netns.entered(net.client), socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.bind(("", source_port))
        connection.settimeout(patience_s)
        try:
            connection.connect(where)
            return connection.recv(16, socket.MSG_WAITALL).decode().strip()
        except OSError as error:
            return type(error).__name__


def drain(net: Net, pods: Pods) -> dict[str, object]:
    """A withdrawn pod keeps the connection it has, gets none, comes back, and goes when all has ended."""
    node = Node(net)
    node.programme("base")
    gone = PLAN.pods["web-1"]
    with dialled(net, WEB) as first, dialled(net, WEB) as second:
        held = next(connection for connection, pod in (first, second) if pod == gone)
        node.programme("one withdrawn")
        held.sendall(b"still there")
        found: dict[str, object] = {
            "echoed": held.recv(11, socket.MSG_WAITALL).decode(),
            "new ones": sorted(picks(net, WEB, 4)),
            "finished while busy": node.finish(),
            "lingers": any(gone in one for one in node.observed().lingering),
        }
        node.programme("base")
        found["back"] = node.observed() == node.rules
        node.programme("one withdrawn")
        # The pod closes first and the client does not: IPVS keeps FIN_WAIT for what --set says.
        with netns.entered(net.node):
            subprocess.run(["ipvsadm", "--set", "900", "1", "300"], check=True)
        for connection in pods.accepted.values():
            if connection.fileno() >= 0 and connection.getsockname()[0] == gone:
                connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + DEADLINE_S
        while node.finish() >= 0 and node.rules.lingering and time.monotonic() < deadline:
            time.sleep(0.2)  # IPVS tells nobody that a connection ended
    found["lingers at last"] = sorted(node.observed().lingering)
    node.programme("base")
    found["all again"] = sorted(picks(net, WEB, 4))
    return found


def main(what: str) -> None:
    """One scenario."""
    net = Net()
    pods = Pods(net.pods)
    pods.start()
    scenarios = {
        "balance": lambda: balance(net),
        "drain": lambda: drain(net, pods),
        "known port": lambda: known_port(net),
    }
    print(json.dumps(scenarios[what]()))


if __name__ == "__main__":
    main(sys.argv[1])
