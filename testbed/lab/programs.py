"""What a container's image stands for: the built-in echo server, the DNS server, or a command."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.clock import now_ns
from testbed.errors import OutOfTimeOrRoom
from testbed.lab.container_log import ContainerLog
from testbed.lab.containers import ProgramContainer, Running, StartError, run
from testbed.lab.dns_servers import DnsServers
from testbed.lab.docker_container import DockerContainer
from testbed.lab.docker_pods import DockerPods
from testbed.lab.external_dns import ExternalDns
from testbed.lab.images import Kind, StandIn, base_name, stand_in
from testbed.lab.ingress import IngressControllers
from testbed.lab.listeners import listeners
from testbed.lab.node_caches import NodeCaches
from testbed.lab.recipes import Recipes, other_user
from testbed.model.objects.pods import SERVER_ANNOTATION, Pod
from testbed.runtime.container_process import CANNOT_EXECUTE
from testbed.runtime.interface import ContainerState, Executed
from testbed.runtime.netns import Place, Started
from testbed.runtime.processes import LabProcess, Processes
from testbed.store import Change

_OUTPUT_LINES, _OUTPUT_BYTES = 200, 10 * 1024
"""Of a probe's command, as much as kubelet reads."""


@dataclass(slots=True)
class OwnProcess:
    """A container that is one process (a `Started`)."""

    process: LabProcess
    stands_in: str

    def state(self) -> ContainerState:
        process = self.process
        return ContainerState(
            process.running,
            process.pid,
            process.started_ns,
            process.finished_ns,
            process.code,
            stands_in=self.stands_in,
        )

    def signal(self, signum: int) -> None:
        self.process.signal(signum)

    async def ended(self) -> None:
        await self.process.ended.wait()


@dataclass(slots=True)
class SharedPod:
    """A container that is a few sockets in a server of many pods (a `Started`)."""

    server: SharedServer
    pod: Pod
    started_ns: int
    finished_ns: int | None = None

    def state(self) -> ContainerState:
        process = self.server.process
        finished_ns = self.finished_ns or process.finished_ns
        running = finished_ns is None
        code = None if running else (process.code if self.finished_ns is None else 0)
        return ContainerState(
            running, process.pid, self.started_ns, finished_ns, code, stands_in=Kind.ECHO.value
        )

    def signal(self, signum: int) -> None:
        """SIGTERM and SIGKILL close the pod's sockets; other signals would hit all pods: ignored."""
        if signum in {signal.SIGTERM, signal.SIGKILL} and self.finished_ns is None:
            self.finished_ns = now_ns()
            self.server.remove(self.pod)

    async def ended(self) -> None:
        return


@dataclass(slots=True)
class SharedServer:
    """One echo process with sockets in many pods' namespaces (`server: shared`)."""

    process: LabProcess
    waiting: deque[asyncio.Future[None]]
    """Requests that it has not carried out yet, oldest first."""

    @classmethod
    async def start(cls, processes: Processes) -> SharedServer:
        """A server without pods."""
        waiting: deque[asyncio.Future[None]] = deque()

        def hear(message: dict[str, Any]) -> None:
            if "pods" in message and waiting:
                oldest = waiting.popleft()
                if not oldest.cancelled():
                    oldest.set_result(None)

        return cls(
            await processes.spawn("echo", {"pods": [], "log": None}, on_message=hear), waiting
        )

    async def add(self, place: Place, pods: list[dict[str, Any]]) -> SharedPod:
        """Serve for one more pod; returns when it listens there, or the server has ended."""
        listening: asyncio.Future[Any] = self._ask({"pods": pods})
        over: asyncio.Future[Any] = asyncio.ensure_future(self.process.ended.wait())
        await asyncio.wait((listening, over), return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        return SharedPod(self, place.pod, now_ns())

    def remove(self, pod: Pod) -> None:
        """Close the pod's sockets."""
        self._ask({"remove": [pod.meta.uid]})

    def _ask(self, message: dict[str, Any]) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(done)
        assert self.process.channel is not None
        self.process.channel.send(message)
        return done


class Programs:
    """Starts containers, and commands in them."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.processes = processes
        self._logs = folder / "accepted"
        self._logs.mkdir(exist_ok=True)
        self._shared: SharedServer | None = None
        self._shared_lock = asyncio.Lock()
        self._hosts: dict[tuple[str, str], Running] = {}
        """What commands join in a container that is a server of the lab's own: a process that only waits, since
        they would end with a command that they have joined.
        """
        self._joining: dict[tuple[str, str], asyncio.Lock] = {}
        self._printed: dict[tuple[str, str], tuple[ContainerLog, ContainerLog | None]] = {}
        """Of each container, by the pod's uid and its name: this run's, and that of the one before."""
        self._watching = False
        self.images: Mapping[str, str] = {}
        """Pattern of an image's name -> command line."""
        self.name_files: Callable[[Pod], tuple[str, str]] = lambda pod: ("", "")
        """Paths of a pod's resolv.conf and hosts file."""
        self.dns: DnsServers
        self.node_caches: NodeCaches
        self.external_dns: ExternalDns | None = None
        """What DNS pods run; None: the lab's own server."""
        self.recipes: Recipes
        self.ingress: IngressControllers
        self.docker: DockerPods | None = None
        """Where containers of real images come from; None: the topology asks for none."""

    async def start(self, place: Place) -> Started:
        """Start what the container's image stands for; returns when it serves, or has ended. Raises NotYet."""
        self.recipes.hostname(place.pod)  # its machine must take the name, whatever runs there
        if self.docker is not None and (image := await self.docker.image(place)):
            container = await self.docker.start(place, image)
            self._keep_log(place, container.running.log)
            return container
        found = stand_in(place.container, self.images)
        match found.kind:
            case Kind.DNS | Kind.NODE_CACHE:
                return await self._start_dns(place, found.kind)
            case Kind.INGRESS:
                controller = await self.ingress.start(place)
                self._keep_log(place, controller.haproxy.log)
                return controller
            case Kind.MAPPED if not place.container.volume_mounts:
                return await self._start_mapped(place, found)
            case Kind.ECHO:
                return await self._start_echo(place)
        return await self._start_program(place, found)

    async def join(
        self,
        place: Place,
        started: Started | None,
        argv: tuple[str, ...],
        *,
        stdin: bool = False,
        tty: bool = False,
    ) -> Running:
        """Start a further command in a container. Raises StartError, NotYet."""
        if isinstance(started, DockerContainer):
            assert self.docker is not None
            return await self.docker.join(started, argv, stdin=stdin, tty=tty)
        if isinstance(started, ProgramContainer):
            recipe, host = started.recipe, started.running
        else:
            recipe, host = self.recipes.bare(place, argv), await self._host(place)
        env = {**recipe.env, "TERM": "xterm"} if tty else recipe.env
        builtin = ""
        if argv[0].lstrip("/") == "agnhost" and base_name(place.container.image) == "agnhost":
            argv, builtin = argv[1:], "agnhost"
        recipe = replace(recipe, argv=argv, env=env, builtin=builtin)
        return await run(self.processes, recipe, stdin=stdin, tty=tty, join=host.pid)

    async def _host(self, place: Place) -> Running:
        """What a command joins where the container has no program of its own. Raises StartError, NotYet."""
        key = place.pod.meta.uid, place.container.name
        joining = self._joining.setdefault(key, asyncio.Lock())
        async with joining:
            host = self._hosts.get(key)
            if host is None or not host.process.running:
                waiting = replace(self.recipes.bare(place, ("pause",)), builtin="agnhost")
                host = await run(self.processes, waiting)
                if self._joining.get(key) is not joining:
                    host.signal(signal.SIGKILL)
                    raise StartError("the pod has gone", CANNOT_EXECUTE)
                self._hosts[key] = host
        return host

    async def execute(
        self, place: Place, started: Started | None, argv: tuple[str, ...], timeout_s: float
    ) -> Executed:
        """Run a command in a container to its end. Raises OutOfTimeOrRoom."""
        try:
            running = await self.join(place, started, argv)
        except StartError as error:
            return Executed(error.code, str(error))
        try:
            async with asyncio.timeout(timeout_s):
                code = await running.ended()
        except TimeoutError:
            raise OutOfTimeOrRoom(f"{argv[0]} timed out after {timeout_s:g}s") from None
        finally:
            running.signal(signal.SIGKILL)
        return Executed(code, running.log.tail(_OUTPUT_LINES, _OUTPUT_BYTES))

    def log(self, pod_uid: str, container: str, *, previous: bool = False) -> ContainerLog | None:
        """What a container printed, or (`previous`) its last run that is over; None where it did not run, or
        is a server of the lab's own.
        """
        now, before = self._printed.get((pod_uid, container), (None, None))
        return now if not previous or (now is not None and now.over) else before

    def _keep_log(self, place: Place, log: ContainerLog) -> None:
        if not self._watching:
            self._watching = True
            self.recipes.store.watch(self._seen)
        key = place.pod.meta.uid, place.container.name
        self._printed[key] = (log, self._printed[key][0] if key in self._printed else None)

    def _seen(self, changes: tuple[Change, ...]) -> None:
        """What a pod printed is kept until its object has gone."""
        for change in changes:
            if change.type == "DELETED" and change.object.kind == Pod.kind:
                uid = change.object.meta.uid
                for key in [key for key in self._printed if key[0] == uid]:
                    del self._printed[key]

    def forget(self, pod_uid: str) -> None:
        """A pod is no more."""
        for key in [key for key in self._joining if key[0] == pod_uid]:
            del self._joining[key]
        for key in [key for key in self._hosts if key[0] == pod_uid]:
            self._hosts.pop(key).signal(signal.SIGKILL)
        self.recipes.forget(pod_uid)

    def accept_log(self, pod: Pod) -> Path:
        """Where the pod's server notes whom it accepted; it outlives the server."""
        return self._logs / f"{pod.meta.namespace}_{pod.meta.name}_{pod.meta.uid[:8]}"

    async def _start_echo(self, place: Place) -> Started:
        pods = listeners(place)
        if place.pod.meta.annotations.get(SERVER_ANNOTATION) == "shared":
            return await (await self._shared_server()).add(place, pods)
        for pod in pods:
            pod["netns"] = None
        config = {"pods": pods, "log": str(self.accept_log(place.pod))}
        process = await self.processes.spawn("echo", config, place.netns)
        return OwnProcess(process, Kind.ECHO.value)

    async def _start_dns(self, place: Place, kind: Kind) -> Started:
        if self.external_dns is not None and kind is Kind.DNS:
            server = await self.external_dns.start(place)
            self._keep_log(place, server.log)
            return server
        servers = self.node_caches if kind is Kind.NODE_CACHE else self.dns
        process, log = await servers.start(place, self.name_files(place.pod))
        self._keep_log(place, log)
        return OwnProcess(process, kind.value)

    async def _start_program(self, place: Place, found: StandIn) -> Started:
        self.recipes.new_run(place)
        recipe = self.recipes.recipe(place, found)
        container = place.container
        title = found.title
        if (user := other_user(place.pod, container)) is not None:
            title += f" (as the lab's own user: to be user {user} takes a lab of root's)"
        running = await run(self.processes, recipe, stdin=container.stdin, tty=container.tty)
        self._keep_log(place, running.log)
        return ProgramContainer(running, recipe, container, title, self.recipes.message_file(place))

    async def _start_mapped(self, place: Place, found: StandIn) -> Started:
        resolv_conf, hosts = self.name_files(place.pod)
        config = {
            "argv": list(found.argv),
            "env": {**os.environ, **self.recipes.environment(place)},
            "hostname": place.pod.meta.name,
            "resolv_conf": resolv_conf,
            "hosts": hosts,
            "tty": False,
        }
        log = ContainerLog()
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        out, out_theirs = os.pipe2(os.O_CLOEXEC)
        err, err_theirs = os.pipe2(os.O_CLOEXEC)
        log.read_from(out, "stdout")
        log.read_from(err, "stderr")
        log.listeners.append(lambda _stream, data: _to_lab_log(data))
        fds = [nothing, out_theirs, err_theirs]
        try:
            process = await self.processes.execute(config, place.netns, fds)
        finally:
            for fd in fds:
                os.close(fd)
        self._keep_log(place, log)
        return OwnProcess(process, found.title)

    async def _shared_server(self) -> SharedServer:
        async with self._shared_lock:
            if self._shared is None or not self._shared.process.running:
                self._shared = await SharedServer.start(self.processes)
            return self._shared


def _to_lab_log(data: bytes) -> None:
    if data:
        os.write(2, data)
