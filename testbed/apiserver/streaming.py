"""What goes on in pods, over HTTP: logs, commands, connections. The lab hands in how pods are reached."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from testbed.apiserver.failure import ApiFailure, bad_request
from testbed.model.containers import Container
from testbed.model.objects.pods import Pod

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


class Line(Protocol):
    """Of a log; its text ends with a newline, but for a piece of a longer line."""

    @property
    def unix_ns(self) -> int: ...
    @property
    def stream(self) -> str: ...
    @property
    def text(self) -> bytes: ...


class Log(Protocol):
    """What a container printed, and goes on to print."""

    @property
    def lines(self) -> Sequence[Line]: ...
    @property
    def dropped(self) -> int: ...
    @property
    def changed(self) -> asyncio.Event: ...
    @property
    def over(self) -> bool: ...
    @property
    def listeners(self) -> list[Callable[[str, bytes], None]]: ...

    def so_far(self) -> list[tuple[str, bytes]]: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Process(Protocol):
    """One in a container."""

    @property
    def output(self) -> Log: ...

    async def feed(self, data: bytes) -> None:
        """To its standard input; returns when it has taken it. Raises OSError when nobody reads it."""

    def close_stdin(self) -> None: ...
    def resize(self, columns: int, rows: int) -> None: ...
    def signal(self, signum: int) -> None: ...
    async def ended(self) -> int: ...


class Pods(Protocol):
    """How the API reaches containers. All raise TestbedError where they are not there."""

    def log(self, pod: Pod, container: str, *, previous: bool) -> Log | None:
        """None: it has never run (or only once, for `previous`)."""

    async def execute(
        self, pod: Pod, container: Container, argv: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> Process: ...

    def process(self, pod: Pod, container: str) -> Process | None:
        """The container's own, to attach to; None where that is a server of the lab's own, or has ended."""

    async def connect(self, pod: Pod, port: int) -> socket.socket:
        """A TCP connection to a port of a pod, from within it. Raises OSError."""

    def make_socket(self, node: str) -> Callable[[socket.AddressFamily], socket.socket]:
        """Makes TCP sockets on a node that runs; "": on any."""


def container_of(pod: Pod, name: str) -> Container:
    """The container that a request means. Raises ApiFailure."""
    every = (*pod.spec.init_containers, *pod.spec.containers)
    if not name:
        name = pod.meta.annotations.get(DEFAULT_CONTAINER, "")
    if not name and len(pod.spec.containers) == 1:
        return pod.spec.containers[0]
    if not name:
        choices = " ".join(one.name for one in pod.spec.containers)
        raise bad_request(
            f"a container name must be specified for pod {pod.meta.name}, choose one of: [{choices}]"
        )
    for one in every:
        if one.name == name:
            return one
    raise bad_request(f"container {name} is not valid for pod {pod.meta.name}")


def not_reached(message: str) -> ApiFailure:
    """A pod that should be there did not answer."""
    return ApiFailure(500, "InternalError", f"Internal error occurred: {message}")


def flag(value: str | None) -> bool:
    """A boolean of a query, as Go reads it."""
    return (value or "").lower() in ("1", "t", "true")


def why(error: Exception) -> str:
    """What went wrong with a connection, in few words."""
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error) or type(error).__name__
