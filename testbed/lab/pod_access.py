"""How the lab's API reaches pods: what they printed, commands in them, connections to them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from testbed.apiserver.streaming import not_reached
from testbed.errors import NotFound
from testbed.ip import host_port
from testbed.kernel import netns
from testbed.lab.cluster import Cluster
from testbed.lab.container_log import ContainerLog
from testbed.lab.containers import ProgramContainer, Running
from testbed.lab.docker_container import DockerContainer
from testbed.lab.names import require_live
from testbed.model.containers import Container
from testbed.model.objects.pods import Pod
from testbed.runtime.netns import NetnsRuntime

_CONNECT_S = 10.0
_KUBELET_PORT = 10250


class PodAccess:
    """Of one lab (an `apiserver.streaming.Pods`)."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._programs = cluster.programs

    def log(self, pod: Pod, container: str, *, previous: bool) -> ContainerLog | None:
        """What a container printed, or the run of it before. Raises ApiFailure."""
        self._require_touch(pod)
        return self._programs.log(pod.meta.uid, container, previous=previous)

    async def execute(
        self, pod: Pod, container: Container, argv: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> Running:
        """Start a command in a container. Raises StartError, NotFound, ApiFailure."""
        runtime = self._runtime(pod)
        place, started = runtime.place(pod, container), runtime.started(pod.meta.uid)
        own = started.get(container.name)
        if own is None or not own.state().running:
            raise NotFound(f"container not found ({container.name})", "it does not run")
        return await self._programs.join(place, own, argv, stdin=stdin, tty=tty)

    def process(self, pod: Pod, container: str) -> Running | None:
        """The container's own, where it is one that prints and reads."""
        found = self._runtime(pod).started(pod.meta.uid).get(container)
        return found.running if isinstance(found, ProgramContainer | DockerContainer) else None

    async def connect(self, pod: Pod, port: int) -> socket.socket:
        """A TCP connection to a port of a pod, from within it. Raises OSError, ApiFailure."""
        namespace = self._runtime(pod).namespace(pod.meta.uid)
        failure: OSError | None = None
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with netns.entered(namespace):
                sock = _tcp(family)
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await asyncio.get_running_loop().sock_connect(sock, (address, port))
            except OSError as error:  # TimeoutError is one
                sock.close()
                failure = failure or error
            else:
                return sock
        assert failure is not None
        raise failure

    def make_socket(self, node: str) -> Callable[[socket.AddressFamily], socket.socket]:
        """Makes TCP sockets on a node that runs; "": on any."""
        running = self._cluster.nodes
        namespace = self._cluster.namespace(node if node in running else next(iter(running)))

        def make(family: socket.AddressFamily) -> socket.socket:
            with netns.entered(namespace):
                return _tcp(family)

        return make

    def _runtime(self, pod: Pod) -> NetnsRuntime:
        if pod.spec.node_name not in self._cluster.nodes:
            if pod.spec.node_name:
                require_live(pod.spec.node_name, self._cluster.store.snapshot())
            raise NotFound(f"pod {pod.meta.name} does not have a host assigned")
        self._require_touch(pod)
        return self._cluster.nodes[pod.spec.node_name].runtime

    def _require_touch(self, pod: Pod) -> None:
        """The API server asks the kubelet, which it has to reach."""
        node = pod.spec.node_name
        if node in self._cluster.touch.lost:
            kubelet = host_port(str(self._cluster.addresses(node)[0]), _KUBELET_PORT)
            raise not_reached(
                f"error dialing backend: dial tcp {kubelet}: connect: no route to host"
            )


def _tcp(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
