"""The DNS server of a pod: one thread, UDP and TCP, fed with changes by the supervisor."""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from testbed.dns.cluster_names import ClusterNames
from testbed.dns.loop import SelectorLoop
from testbed.dns.query import Query, Reply, Respond, Serve
from testbed.dns.serving import Serving
from testbed.dns.surroundings import Names
from testbed.dns.wire import IN, REFUSED, SERVFAIL
from testbed.dns.zone_options import REVERSE, ZoneOptions


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Serve until SIGTERM or until `channel` closes.

    `config`: {"listen": [address, …], "port": number (0: any), "domain": "cluster.local"}. Says
    {"ready": true, "port": number} once it listens. Then a line of `channel` is what `ClusterNames.hear` takes
    in. Raises OSError where the port cannot be had.
    """
    loop = SelectorLoop()
    names = ClusterNames()
    zones = ZoneOptions(zones=(config["domain"], *REVERSE))
    serving = Serving(loop, _of_cluster(names.under(zones)), config["listen"], config["port"])
    supervisor = Supervisor(loop, channel, lambda message: serving.forget(names.hear(message)))
    channel.sendall(json.dumps({"ready": True, "port": serving.port}).encode() + b"\n")
    while not supervisor.ended:
        serving.turn()


def _of_cluster(names: Names) -> Serve:
    """A chain of one: the cluster's names, and nothing else."""

    def serve(query: Query, respond: Respond) -> None:
        question = query.question
        if not names.synced:
            respond(Reply(SERVFAIL, authoritative=False))
            return
        found = names.zone.lookup(question.name, question.type)
        if question.class_ != IN or found.rcode == REFUSED:
            respond(Reply(REFUSED, authoritative=False, depends=frozenset()))
            return
        records = found.answers, found.authority, found.additional
        respond(Reply(found.rcode, *records, rotate=True, depends=found.depends))

    return serve


class Supervisor:
    """The line to whoever started the process, and SIGTERM: what it tells, and what ends the process."""

    def __init__(
        self,
        loop: SelectorLoop,
        channel: socket.socket,
        hear: Callable[[dict[str, Any]], None],
        terminate: Callable[[], None] | None = None,
    ) -> None:
        """`hear` is told every message; what comes first is most of what the process will ever hold.
        `terminate`: what SIGTERM does, instead of ending the process.
        """
        self.ended = False
        self._hear = hear
        self._terminate = terminate or self._end
        self._channel = channel
        self._pieces: list[bytes] = []
        self._wakeup, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGTERM, lambda *_: None)
        for fd in (channel.fileno(), self._wakeup):
            loop.watch(fd, self._read, selectors.EVENT_READ)

    def _end(self) -> None:
        self.ended = True

    def _read(self, _events: int) -> None:
        with suppress(BlockingIOError):
            if os.read(self._wakeup, 64):
                self._terminate()
        try:
            data = self._channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        self.ended = self.ended or not data
        self._pieces.append(data)
        if b"\n" not in data:
            return
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces = [rest]
        for line in lines:
            message = json.loads(line)
            self._hear(message)
            if "objects" in message:
                gc.freeze()  # nobody is kept waiting while it is looked through for what is garbage
