"""What labs have had the Docker daemon make, found by its labels and taken away again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError

from testbed.errors import OutOfTimeOrRoom
from testbed.runtime.docker.daemon import said
from testbed.runtime.docker.labels import CONTAINER, HOME, INSTANCE, LAB, NODE, POD

_AT_ONCE = 4
_PATIENCE_S, _LOOK_S = 60.0, 0.05
_UNDER_WAY = 409
"""HTTP Conflict: somebody else is removing it, or something that is being removed still uses it."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A container, an image or a volume (`kind`) of a lab."""

    kind: str
    ident: str
    name: str
    lab: str
    instance: str
    home: str
    detail: str


Wanted = Callable[[Thing], bool]


def find(client: docker.APIClient) -> list[Thing]:
    """Everything that bears a lab's label, what others build on last."""
    with said("what labs have left"):
        return list(_things(client))


def _things(client: docker.APIClient) -> Iterator[Thing]:
    labelled = {"label": LAB}
    for row in client.containers(all=True, filters=labelled):
        name = (row["Names"] or [row["Id"]])[0].lstrip("/")
        yield _thing("container", row["Id"], name, row["Labels"], row["Status"])
    for row in client.volumes(filters=labelled)["Volumes"] or ():
        yield _thing("volume", row["Name"], row["Name"], row["Labels"], "")
    for row in client.images(filters=labelled):
        name = (row["RepoTags"] or [row["Id"]])[0]
        yield _thing("image", row["Id"], name, row["Labels"], "")


def _thing(kind: str, ident: str, name: str, labels: dict[str, Any], status: str) -> Thing:
    what = " ".join(labels[key] for key in (NODE, POD, CONTAINER) if key in labels)
    detail = ", ".join(filter(None, (what, status)))
    return Thing(
        kind, ident, name, labels[LAB], labels.get(INSTANCE, ""), labels.get(HOME, ""), detail
    )


def remove(client: docker.APIClient, wanted: Wanted) -> list[Thing]:
    """Take away what is `wanted`; returns what that was, once all of it has gone. Raises OutOfTimeOrRoom."""
    found: dict[str, Thing] = {}
    deadline_s = time.monotonic() + _PATIENCE_S
    while left := [thing for thing in find(client) if wanted(thing)]:
        found |= {thing.ident: thing for thing in left}
        if time.monotonic() > deadline_s:
            names = ", ".join(thing.name for thing in left[:5])
            raise OutOfTimeOrRoom(f"Docker does not remove {names}", "`docker rm -f` says why")
        # Containers first: an image that one is made of stays.
        first = [thing for thing in left if thing.kind == left[0].kind]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            if not all(pool.map(lambda thing: _remove(client, thing), first)):
                time.sleep(_LOOK_S)
    return list(found.values())


def _remove(client: docker.APIClient, thing: Thing) -> bool:
    """Whether it has gone; False: somebody else is at it."""
    try:
        with suppress(docker.errors.NotFound):
            match thing.kind:
                case "container":
                    client.remove_container(thing.ident, v=True, force=True)
                case "volume":
                    client.remove_volume(thing.ident, force=True)
                case _:
                    client.remove_image(thing.ident, force=True)
    except APIError as error:
        if error.response is None or error.response.status_code != _UNDER_WAY:
            raise
        return False
    return True
