"""What runs in a lab beside the supervisor, and the zygote that forks it.

Imported, and forked, before the control plane is: a zygote that holds less forks faster (its page tables are
copied every time), and a thousand pods are a thousand forks.
"""

from __future__ import annotations

import socket

from testbed.dns import chain_server, outside_server
from testbed.lab import capture_process, l2_speaker, route_watch, rule_watch
from testbed.proxy.userspace_process import main as userspace
from testbed.runtime import zygote
from testbed.runtime.container_process import Program
from testbed.traffic import (
    agnhost,
    echo,
    generator,
    marked,
    meter,
    paths,
    reachability,
    recorder,
)

MAINS: dict[str, zygote.Main] = {
    "echo": echo.main,
    "dns": chain_server.main,
    "outside-dns": outside_server.main,
    "generator": generator.main,
    "recorder": recorder.main,
    "meter": meter.main,
    "reachability": reachability.main,
    "paths": paths.main,
    "capture": capture_process.main,
    "marked": marked.main,
    "rulewatch": rule_watch.main,
    "routewatch": route_watch.main,
    "l2speaker": l2_speaker.main,
    "userspace": userspace.main,
}
"""By the name that `Processes.spawn` takes."""
PROGRAMS: dict[str, Program] = {"agnhost": agnhost.prepared}
"""What containers can be without a program of the host."""


def fork_zygote(keep_out: tuple[int, ...]) -> socket.socket:
    """Fork the zygote with everything that lab processes need imported; returns our end of its socket.

    `keep_out`: see `zygote.fork`.
    """
    return zygote.fork(MAINS, PROGRAMS, keep_out)
