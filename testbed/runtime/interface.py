"""What a kubelet asks of a runtime (Kubernetes' CRI, reduced to what the testbed needs)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from testbed.errors import TestbedError
from testbed.fabric.machine import Cable, Fabric, Machine
from testbed.model.containers import Container
from testbed.model.objects.pods import Pod
from testbed.model.shape import Shape


@dataclass(frozen=True, slots=True)
class ContainerState:
    """A container as the runtime knows it now; times are CLOCK_MONOTONIC."""

    running: bool
    pid: int
    started_ns: int
    finished_ns: int | None = None
    exit_code: int | None = None
    """As a shell says it: 137 after SIGKILL. None while running."""
    message: str = ""
    """What it left in its termination message file."""
    stands_in: str = ""
    """What runs in the name of its image."""


@dataclass(frozen=True, slots=True)
class Executed:
    """A command that ran in a container; `output` is the beginning of what it printed."""

    code: int
    output: str = ""


class NotYet(TestbedError):
    """A container cannot be made as long as something is missing: a ConfigMap, a key of it, …"""


class PodRuntime(Protocol):
    """One node's pods. All methods are called from the supervisor's event loop."""

    async def create_sandbox(self, pod: Pod) -> tuple[str, ...]:
        """Make and wire the pod's network namespace; returns its addresses, one per IP family, the
        primary one first. Raises OutOfTimeOrRoom (addresses used up) or another TestbedError; the kubelet
        says so in the pod's status and retries.
        """

    async def start_container(self, pod: Pod, container: Container) -> ContainerState:
        """Start the program that the image stands for; returns when it serves (or has ended). Raises NotYet."""

    def containers(self, pod_uid: str) -> dict[str, ContainerState]:
        """State now of each container that was started, by name: what the 1 s relist reads."""

    def signal(self, pod_uid: str, container: str, signum: int) -> None:
        """Send a signal to the container's process; no error when it has ended."""

    async def execute(
        self, pod: Pod, container: Container, argv: tuple[str, ...], timeout_s: float
    ) -> Executed:
        """Run a command in a container. Raises OutOfTimeOrRoom when it has not ended by then, and NotFound."""

    async def remove_sandbox(self, pod_uid: str) -> None:
        """Kill what still runs, take the namespace and the address back. Idempotent."""

    def node_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A new non-blocking socket in the *node's* namespace (where kubelet's probes come from)."""


class Machines(Protocol):
    """What a lab's machines are made of."""

    def create(self, machine: Machine) -> int:
        """A new machine, without links; returns a descriptor of its network namespace, which the caller
        closes. Raises TestbedError.
        """

    def remove(self, name: str) -> None:
        """The machine is no more."""

    def wired(self, fabric: Fabric) -> None:
        """All machines and cables of the fabric are there now."""


@dataclass(frozen=True, slots=True)
class CableState:
    """A cable as it is now."""

    cable: Cable
    state: Literal["up", "cut", "reserve", "down"]
    """reserve: it would close a loop of switches; down: an end has no power."""
    shapes: tuple[Shape, Shape]
    """In force at each end."""


class Underlay(Protocol):
    """The physical network of a lab. All methods are called from the thread that owns its namespaces."""

    @property
    def control_plane(self) -> int:
        """A descriptor of the namespace that the control plane listens in."""

    def namespace(self, name: str) -> int:
        """A descriptor of a machine's network namespace."""

    def apply(self, want: Fabric) -> None:
        """Add, remove, rewire and re-route machines until the fabric is as wanted."""

    def unplug(self, name: str) -> None:
        """All of a machine's links are down: when it returns, no packet comes or goes."""

    def renew(self, name: str) -> None:
        """A new machine of that name, with new links: nothing of the old one is left."""

    def cables(self) -> Mapping[str, CableState]:
        """By name."""

    def cut(self, cable: str) -> None:
        """When it returns, no packet passes the cable, and its ends have no carrier. Raises NotFound."""

    def join(self, cable: str) -> None:
        """Undo `cut`. Raises NotFound."""

    def set_shape(self, cable: str, end: int, shape: Shape) -> bool:
        """Shape what enters the cable at an end (0 or 1), until the cable is made anew. False: it is unshaped,
        but for idle parts that go when this is said again. Raises NotFound and what `kernel.shaping` raises.
        """
