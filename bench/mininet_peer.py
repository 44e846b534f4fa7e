"""Mininet builds and ends bridges with hosts; the peer of `testbed up` and `testbed down`.

Run by the system's Python, which has Debian's mininet, inside a user namespace:
`python3 mininet_peer.py BRIDGES HOSTS_PER_BRIDGE` prints up_s, down_s, processes_per_host as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import mininet.net
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import Topo


class Bridges(Topo):  # type: ignore[misc]
    """Bridges in a star around the first, each with its hosts."""

    def build(self, bridges: int, hosts: int) -> None:
        for number in range(bridges):
            bridge = self.addSwitch(f"s{number}")
            if number:
                self.addLink(bridge, "s0")
            for host in range(hosts):
                self.addLink(self.addHost(f"h{number}x{host}"), bridge)


def processes() -> int:
    return sum(entry.name.isdigit() for entry in Path("/proc").iterdir())


def main() -> None:
    bridges, hosts = map(int, sys.argv[1:])
    # It writes the host's sysctls, which a user namespace refuses anyway.
    mininet.net.fixLimits = lambda: None
    before = processes()
    start = time.monotonic()
    network = Mininet(topo=Bridges(bridges, hosts), switch=LinuxBridge, controller=None)
    network.start()
    up = time.monotonic()
    running = processes() - before
    stopping = time.monotonic()
    network.stop()
    figures = {
        "up_s": up - start,
        "down_s": time.monotonic() - stopping,
        "processes_per_host": round(running / (bridges * hosts), 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
