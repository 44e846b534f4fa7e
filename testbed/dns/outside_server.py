"""The DNS server of the world outside a cluster, as a lab process: it serves the zone that it is told."""

from __future__ import annotations

import json
import socket
from typing import Any

from testbed.dns.loop import SelectorLoop
from testbed.dns.query import Query, Reply, Respond
from testbed.dns.served_zone import ServedZone
from testbed.dns.serving import Serving
from testbed.dns.supervisor import Supervisor
from testbed.dns.wire import SERVFAIL, Record


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Serve until SIGTERM or until `channel` closes.

    `config`: {"listen": [address, …], "port": number, "zone": "example.test", "server": its name server's
    name}. Says {"ready": true, "port": number} once it listens. Then a line of `channel` is {"records":
    {name: [[name, type, ttl, data], …]}, "serial": n}: a name without any is no more. Until the first one
    every query gets SERVFAIL. Raises OSError where the port cannot be had.
    """
    zone = ServedZone(config["zone"], config["server"])
    synced = False

    def serve(query: Query, respond: Respond) -> None:
        respond(zone.answer(query.question) if synced else Reply(SERVFAIL, authoritative=False))

    def hear(message: dict[str, Any]) -> None:
        nonlocal synced
        synced = True
        told = message["records"].items()
        zone.put(
            {name: tuple(Record(*one) for one in those) for name, those in told}, message["serial"]
        )
        serving.forget((zone.origin,))

    loop = SelectorLoop()
    serving = Serving(loop, serve, config["listen"], config["port"])
    supervisor = Supervisor(loop, channel, hear)
    channel.sendall(json.dumps({"ready": True, "port": serving.port}).encode() + b"\n")
    while not supervisor.ended:
        serving.turn()
