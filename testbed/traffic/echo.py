"""The built-in backend: one epoll loop that says who it is to whoever asks.

By default each pod has its own process; for scale labs one process holds sockets in many pods'
namespaces.
"""

from __future__ import annotations

import os
import resource
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from testbed.kernel import netns
from testbed.traffic.accept_log import AcceptLog
from testbed.traffic.channel import Channel
from testbed.traffic.echo_datagrams import Datagrams
from testbed.traffic.echo_loop import EchoLoop
from testbed.traffic.echo_protocol import Identity
from testbed.traffic.echo_streams import BACKLOG, Listener


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Serve until SIGTERM or until `channel` closes.

    `config`: `pods`, a list of {pod, uid, namespace, node, ip, port, service_s} (`service_s`: how long
    it works on a request that comes by TCP, one after the other) with `netns`: null where the
    process is in the pod already, else an open file descriptor of the namespace (closed here), or
    its path, and `listen`: the addresses to listen on (["0.0.0.0"]); `log`: path of the accept log
    (all pods of the server in one), or null.

    Lines on `channel`: {"stop": true} is SIGTERM; {"pods": […]} adds pods (the descriptors that
    come with the message stand for every `netns` that is a number, in order), {"remove": [uid, or
    name without one]} removes them. Says {"ready": true} when it listens, {"pods": n} after a
    change. Raises OSError.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = EchoLoop(AcceptLog(Path(config["log"])) if config.get("log") else None)
    server = _Server(loop)
    for pod in config["pods"]:
        server.add(pod)
    line = Channel(channel)
    _Control(server, line)
    line.say({"ready": True})
    loop.serve()


class _Server:
    """The pods that it answers for."""

    def __init__(self, loop: EchoLoop) -> None:
        self.loop = loop
        self.pods: dict[str, list[Listener | Datagrams]] = {}

    def add(self, pod: dict[str, Any]) -> None:
        """Listen for a pod, in its namespace: TCP, UDP and, where `sctp` says so, SCTP. Raises OSError."""
        identity = Identity(
            pod["pod"], pod.get("namespace", "default"), pod.get("node", ""), pod.get("ip", "")
        )
        place = pod.get("netns")
        if isinstance(place, str):
            place = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        listen = pod.get("listen", ["0.0.0.0"])
        with nullcontext() if place is None else netns.entered(place):
            pairs = [(address, _unbound(address)) for address in listen]
            streams = [
                (address, _unbound_stream(address, socket.IPPROTO_SCTP))
                for address in (listen if pod.get("sctp") else ())
            ]
        if place is not None:
            os.close(place)
        mine = self.pods.setdefault(pod.get("uid") or pod["pod"], [])
        service_ns = round(pod.get("service_s", 0.0) * 1e9)
        streams += [(address, tcp) for address, (tcp, _) in pairs]
        for address, stream in streams:
            stream.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # a restart meets TIME_WAIT
            stream.bind((address, pod["port"]))
            stream.listen(BACKLOG)
            mine.append(Listener(self.loop, identity, stream, service_ns))
        for address, (_, udp) in pairs:
            udp.bind((address, pod["port"]))
            mine.append(Datagrams(self.loop, identity, udp))

    def remove(self, pod: str) -> None:
        """Stop listening for a pod; connections that are open go on. Unknown: no error."""
        for one in self.pods.pop(pod, []):
            one.close()

    def drain(self) -> None:
        """Take no new connections, end idle ones, answer the rest."""
        self.loop.drain(self._remove_all)

    def _remove_all(self) -> None:
        for pod in tuple(self.pods):
            self.remove(pod)


def _unbound(address: str) -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket of the address's IP family, and of that one alone: each family has its own."""
    udp = _socket(address, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
    return _unbound_stream(address, socket.IPPROTO_TCP), udp


def _unbound_stream(address: str, protocol: int) -> socket.socket:
    return _socket(address, socket.SOCK_STREAM, protocol)


def _socket(address: str, kind: int, protocol: int) -> socket.socket:
    if ":" not in address:
        return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, protocol)
    found = socket.socket(socket.AF_INET6, kind | socket.SOCK_NONBLOCK, protocol)
    found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return found


class _Control:
    """The supervisor's orders."""

    def __init__(self, server: _Server, line: Channel) -> None:
        self._server = server
        self._line = line
        for fd in line.fds:
            server.loop.watch(fd, self._obey)

    def _obey(self, _: int) -> None:
        watched = set(self._line.fds)
        for message in self._line.receive():
            if message.get("stop"):
                self._server.drain()
            elif "pods" in message or "remove" in message:
                self._change(message)
        for fd in watched.difference(self._line.fds):  # the supervisor has closed its end
            self._server.loop.forget(fd)

    def _change(self, message: dict[str, Any]) -> None:
        for pod in message.get("pods", ()):
            if isinstance(pod.get("netns"), int):
                pod["netns"] = self._line.received_fds.pop(0)
            self._server.add(pod)
        for name in message.get("remove", ()):
            self._server.remove(name)
        self._line.say({"pods": len(self._server.pods)})
