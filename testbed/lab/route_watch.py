"""Listens to the routes that BIRD brings into the kernel of each machine: one process, a socket each.

The supervisor may be busy when a route goes; this process is not, so that its times are the kernel's but for
the moment of waking up.
"""

from __future__ import annotations

import selectors
import socket
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Any

from testbed.clock import now_ns
from testbed.kernel.routes import BIRD, RouteEar, RouteNews
from testbed.traffic.channel import TERMINATED, Channel


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Listen until told to stop.

    Says {"ready": true}. {"watch": machine, "netns": path, "known": routes} adds one (or its new namespace),
    {"forget": machine} ends it. Says {"machine", "t_ns", "routes": [[destination, [via, …]], …]} of what is
    otherwise than it was known: without vias it is gone.
    """
    control = Channel(channel)
    ears: dict[str, RouteEar] = {}
    control.say({"ready": True})
    with selectors.DefaultSelector() as selector:
        for fd in control.fds:
            selector.register(fd, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    _tell(control, key.data, ears)
            for message in control.receive():
                if message == TERMINATED:
                    return
                name = message.get("watch") or message["forget"]
                if name in ears:
                    ear = ears.pop(name)
                    selector.unregister(ear.socket)
                    ear.close()
                if "watch" in message:
                    with suppress(OSError):  # it has lost its power by now
                        known = [
                            RouteNews(ip_network(destination), tuple(map(ip_address, vias)))
                            for destination, vias in message["known"]
                        ]
                        ears[name] = RouteEar(message["netns"], BIRD, known)
                        selector.register(ears[name].socket, selectors.EVENT_READ, name)


def _tell(control: Channel, name: str, ears: dict[str, RouteEar]) -> None:
    t_ns = now_ns()
    if name in ears and (news := ears[name].take()):
        routes = [[str(one.destination), list(map(str, one.vias))] for one in news]
        control.say({"machine": name, "t_ns": t_ns, "routes": routes})
