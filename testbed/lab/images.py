"""What a container's image stands for: a server of the lab's own, or a command of the host."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from testbed.model.containers import Container
from testbed.model.ingress_objects import IMAGE as INGRESS_IMAGE
from testbed.model.node_local import IMAGE as NODE_CACHE_IMAGE
from testbed.model.shorthand import DNS_IMAGE

_AGNHOST = frozenset({"agnhost"})
_PAUSE = frozenset({"pause"})
_TOOLS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("busybox", "alpine", "debian", "ubuntu", "fedora", "centos", "bash"), ()),
    **dict.fromkeys(("jessie-dnsutils", "dnsutils", "netshoot"), ()),
    "curl": ("curl",),
}
"""Images of the tools that the host has, too -> their entry points; what they run is in `args`."""


class Kind(Enum):
    """How a container is made."""

    DNS = "testbed/dns"
    NODE_CACHE = NODE_CACHE_IMAGE
    INGRESS = INGRESS_IMAGE
    ECHO = "testbed/echo"
    AGNHOST = "testbed/agnhost"
    MAPPED = "images"
    """A command of the topology's `images:`, in the host's own files."""
    PROGRAM = "program"
    """A command of the host, in files of the container's own."""


_SERVERS = {DNS_IMAGE: Kind.DNS, NODE_CACHE_IMAGE: Kind.NODE_CACHE, INGRESS_IMAGE: Kind.INGRESS}


@dataclass(frozen=True, slots=True)
class StandIn:
    """`argv`: the command, or agnhost's arguments."""

    kind: Kind
    argv: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """As a container's status says it."""
        if self.kind in (Kind.MAPPED, Kind.PROGRAM):
            return f"host://{self.argv[0]}"
        name: str = self.kind.value
        return name


def stand_in(container: Container, images: Mapping[str, str]) -> StandIn:
    """What runs in a container's name. `images`: pattern of an image's name -> command line."""
    image = container.image
    if image in _SERVERS:
        return StandIn(_SERVERS[image])
    for pattern, line in images.items():
        if fnmatchcase(image, pattern):
            return StandIn(Kind.MAPPED, tuple(shlex.split(line)))
    agnhost = _agnhost(container)
    if agnhost is not None:
        return StandIn(Kind.AGNHOST, agnhost or ("pause",))
    if container.command:
        return StandIn(Kind.PROGRAM, (*container.command, *container.args))
    name = base_name(image)
    if name in _TOOLS:
        return StandIn(Kind.PROGRAM, (*_TOOLS[name], *container.args) or ("sh",))
    return StandIn(Kind.ECHO)


def _agnhost(container: Container) -> tuple[str, ...] | None:
    """What the built-in agnhost is asked to do; None: the container is none, or runs something else."""
    name = base_name(container.image)
    if name not in _AGNHOST | _PAUSE:
        return None
    if not container.command:
        return container.args if name in _AGNHOST else ()
    program = container.command[0].lstrip("/")
    if program in _AGNHOST:
        return (*container.command[1:], *container.args)
    return () if program in _PAUSE else None


def base_name(image: str) -> str:
    """registry.k8s.io/e2e-test-images/agnhost:2.40 -> agnhost."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
