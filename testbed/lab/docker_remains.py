"""What the Docker daemon still has of labs that have ended: nothing, unless what clears up was killed, too."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from testbed.errors import MissingFeature
from testbed.lab import docker_side, registry
from testbed.runtime.docker.labels import DEFAULT_HOST

if TYPE_CHECKING:  # only who has a daemon pays for the SDK
    from testbed.runtime.docker.remains import Thing


def find() -> list[Thing]:
    """What labs of this user's have left, of this machine's daemon; [] where there is none that answers."""
    socket = os.environ.get("DOCKER_HOST", DEFAULT_HOST).removeprefix("unix://")
    if not os.access(socket, os.R_OK | os.W_OK):
        return []
    from testbed.runtime.docker import daemon, remains

    try:
        client = daemon.connect()
    except MissingFeature:
        return []
    home = docker_side.home()
    return [one for one in remains.find(client) if one.home == home and not _is_of_a_lab(one)]


def remove(things: Iterable[Thing]) -> None:
    """Take them away; returns when they are gone. Raises TestbedError."""
    from testbed.runtime.docker import daemon, remains

    wanted = {thing.ident for thing in things}
    remains.remove(daemon.connect(), lambda thing: thing.ident in wanted)


def _is_of_a_lab(thing: Thing) -> bool:
    """Whether a lab that runs, and no other of its name, has made it."""
    folder = registry.folder(thing.lab)
    if not registry.is_alive(folder):
        return False
    side = docker_side.of(folder)
    return side is not None and side.owner.instance == thing.instance
