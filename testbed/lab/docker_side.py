"""Which Docker daemon a lab has: what is done before its world is entered, and after it has ended."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.lab import registry
from testbed.runtime.docker import outside
from testbed.runtime.docker.labels import Owner

if TYPE_CHECKING:  # a supervisor enters its world with little imported
    from testbed.model.topology import Topology

WANTED = "TESTBED_DOCKER"
"""Environment variable of a supervisor: where the daemon listens that its lab is to have containers of."""
_FILE, _PID_FILE = "docker.json", "outside.pid"


@dataclass(frozen=True, slots=True)
class Side:
    """Which daemon a lab has, and as whom."""

    url: str
    owner: Owner


def home() -> str:
    """Whose labs are told from those of others that share a daemon: this machine's, in this folder."""
    return f"{socket.gethostname()}:{registry.root()}"


def wanted(topology: Topology, lab: str) -> dict[str, str]:
    """For the supervisor's environment. What an ended lab of that name has left is taken away.

    Raises MissingFeature where the daemon cannot be had.
    """
    if not topology.runtime.uses_docker:
        return {}
    from testbed.lab import docker_remains
    from testbed.runtime.docker import daemon

    daemon.require()
    if left := [thing for thing in docker_remains.find() if thing.lab == lab]:
        docker_remains.remove(left)
    return {WANTED: daemon.host()}


def begin(folder: Path, keep_out: tuple[int, ...]) -> socket.socket | None:
    """Before the lab's world is entered: fork what stays outside; None where the lab has no containers."""
    url = os.environ.get(WANTED)
    if not url:
        return None
    side = Side(url, Owner(folder.name, os.urandom(6).hex(), home()))
    (folder / _FILE).write_text(json.dumps(asdict(side)))
    return outside.fork(lambda: clear(side), folder / _PID_FILE, keep_out)


def of(folder: Path) -> Side | None:
    """What a lab wrote down, living or dead; None where it has no containers."""
    try:
        found = json.loads((folder / _FILE).read_text())
    except FileNotFoundError:
        return None
    return Side(found["url"], Owner(**found["owner"]))


def outside_pid(folder: Path) -> int | None:
    """The process that takes a lab's containers away when it has ended, as the host counts."""
    try:
        return int((folder / _PID_FILE).read_text())
    except (OSError, ValueError):
        return None


def clear(side: Side) -> None:
    """Take away what a lab has had the daemon make. Raises TestbedError."""
    from testbed.runtime.docker import daemon, remains

    client = daemon.connect(side.url)
    remains.remove(client, lambda thing: thing.instance == side.owner.instance)
