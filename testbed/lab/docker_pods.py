"""Pods as containers: a sandbox holds a pod's namespaces, containers of real images join it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from testbed.clock import now_ns
from testbed.errors import NotFound, TestbedError
from testbed.kernel import netns
from testbed.lab.containers import Launch, launch
from testbed.lab.docker_container import Command, DockerContainer, RunningCommand, prepared
from testbed.lab.docker_daemon import Daemon
from testbed.lab.environment import expanded
from testbed.lab.images import Kind, stand_in
from testbed.lab.recipes import Recipes, security_of
from testbed.model.containers import Container, SecurityContext
from testbed.model.objects.metadata import name_of
from testbed.model.objects.pods import REAL_IMAGE, SERVER_ANNOTATION, Pod
from testbed.model.runtime import Docker
from testbed.model.workload import ECHO_IMAGE
from testbed.runtime.docker.wanted import Held, Wanted
from testbed.runtime.interface import NotYet
from testbed.runtime.netns import Place
from testbed.runtime.processes import Processes


@dataclass(slots=True)
class _Sandbox:
    ident: str = ""
    """"": the pod is in its node's network, or nothing of it is a container."""
    containers: dict[str, str] = field(default_factory=dict)
    """Ids by name, of their last run."""


class Kitchen(Protocol):
    """What is known of containers, whatever makes them."""

    @property
    def recipes(self) -> Recipes:
        """What they find around them."""

    @property
    def images(self) -> Mapping[str, str]:
        """The topology's: pattern of an image's name -> command line."""


class DockerPods:
    """The pods of one lab. What is no image of the daemon's stays a process of the lab."""

    def __init__(
        self,
        daemon: Daemon,
        processes: Processes,
        options: Docker,
        kitchen: Kitchen,
        node_container: Callable[[str], str],
    ) -> None:
        """`node_container`: the id of a node's container, or NotFound."""
        self.daemon = daemon
        self._processes = processes
        self._options = options
        self._kitchen = kitchen
        self._node_container = node_container
        self._sandboxes: defaultdict[str, _Sandbox] = defaultdict(_Sandbox)
        self._numbers = itertools.count()
        self._tried: dict[str, asyncio.Task[str]] = {}
        """Images that were asked for, once in the life of the lab: what the daemon said."""

    async def create(self, pod: Pod) -> int:
        """A new network namespace for a pod: a descriptor, the caller's from here on."""
        every = (*pod.spec.init_containers, *pod.spec.containers)
        if not any(self.wants(pod, one) for one in every):
            return netns.create()
        held = await self.daemon.made(
            self._let_go,
            self.daemon.engine.sandbox,
            name_of(pod),
            self._name(pod, "POD"),
            self._kitchen.recipes.hostname(pod),
        )
        self._sandboxes[pod.meta.uid].ident = held.ident
        return held.namespace

    async def remove(self, pod_uid: str) -> None:
        """A pod is no more: nor are its containers. Idempotent."""
        sandbox = self._sandboxes.pop(pod_uid, None)
        if sandbox is None:
            return
        engine = self.daemon.engine
        every = sandbox.containers.values()
        await asyncio.gather(*(self.daemon.do(engine.remove, one) for one in every))
        if sandbox.ident:
            await self.daemon.do(engine.remove, sandbox.ident)

    def wants(self, pod: Pod, container: Container) -> bool:
        """Whether a container is to be one of the daemon's, if that has its image."""
        if container.image == ECHO_IMAGE or pod.meta.annotations.get(SERVER_ANNOTATION) == "shared":
            return False
        return stand_in(container, self._kitchen.images).kind not in (Kind.DNS, Kind.MAPPED)

    async def image(self, place: Place) -> str:
        """The id of the image that a container is made of; "": a stand-in's. Raises NotYet."""
        if not self.wants(place.pod, place.container):
            return ""
        name, policy = place.container.image, place.container.pull_policy
        if name not in self._tried or self._failed(name):
            self._tried[name] = asyncio.create_task(self._found(name, policy))
        try:
            return await asyncio.shield(self._tried[name])
        except TestbedError as error:
            if self._options.missing_image == "wait":
                raise NotYet(error.message, error.hint) from None
            return ""

    def missing_images(self) -> dict[str, str]:
        """Name -> why the daemon has it not, of those that were asked for in vain."""
        tried = ((name, task) for name, task in self._tried.items() if task.done())
        failed = ((name, task.exception()) for name, task in tried)
        return {
            name: str(error)
            for name, error in sorted(failed, key=lambda one: one[0])
            if error is not None
        }

    def _failed(self, name: str) -> bool:
        """Where it is waited for, it is asked for again."""
        task, waits = self._tried[name], self._options.missing_image == "wait"
        return waits and task.done() and task.exception() is not None

    async def _found(self, name: str, policy: str) -> str:
        engine = self.daemon.engine
        # A slow registry must not keep other requests waiting.
        found = await asyncio.to_thread(engine.image, name, pulled=policy == "IfNotPresent")
        if policy == "Always":
            try:
                return await asyncio.to_thread(engine.fetched, name)
            except TestbedError:
                if not found:
                    raise
        if not found:
            raise TestbedError(f"image {name} is not there, and imagePullPolicy is {policy}")
        return found

    async def start(self, place: Place, image: str) -> DockerContainer:
        """Start a container; returns when it runs, or has ended. Raises NotYet, StartError, TestbedError."""
        pod, container = place.pod, place.container
        wanted = self._wanted(place, image)
        engine = self.daemon.engine
        ident = await self.daemon.made(self._remove_later, engine.make, wanted)
        containers = self._sandboxes[pod.meta.uid].containers
        if container.name in containers:  # its last run, which is over
            self._remove_later(containers[container.name])
        containers[container.name] = ident
        streams = {"stdin": container.stdin, "tty": container.tty}
        config = {"url": engine.url, "container": ident, **streams}
        running = await launch(
            self._processes,
            Launch("docker-container", config),
            stdin=container.stdin,
            tty=container.tty,
        )
        started = DockerContainer(
            self.daemon,
            ident,
            running,
            container,
            f"{REAL_IMAGE}{image}",
            self._kitchen.recipes.message_file(place),
            now_ns(),
        )
        await started.follow()
        return started

    def _remove_later(self, ident: str) -> None:
        self.daemon.later(self.daemon.engine.remove, ident)

    def _let_go(self, held: Held) -> None:
        os.close(held.namespace)
        self._remove_later(held.ident)

    def _wanted(self, place: Place, image: str) -> Wanted:
        pod, container = place.pod, place.container
        self._kitchen.recipes.new_run(place)
        env = self._kitchen.recipes.asked_for(place)
        labels = {"pod": name_of(pod), "container": container.name}
        home = self._home(place)
        return Wanted(
            self._name(pod, container.name),
            image,
            self.daemon.engine.owner.labels(**labels),
            network=f"container:{home}",
            ipc=None if pod.spec.host_network else f"container:{home}",
            entrypoint=[expanded(word, env) for word in container.command] or None,
            command=[expanded(word, env) for word in container.args] or None,
            environment=env,
            working_dir=expanded(container.working_dir, env) or None,
            user=_user(security_of(pod, container)),
            stdin=container.stdin,
            tty=container.tty,
            mounts=tuple(
                (one.source, one.target, one.read_only)
                for one in self._kitchen.recipes.mounts(place, env)
            ),
        )

    def _home(self, place: Place) -> str:
        """The container whose network it joins."""
        if place.pod.spec.host_network:
            try:
                return self._node_container(place.node)
            except NotFound:
                raise TestbedError(
                    f"a container cannot join the network of {place.node}, which is none",
                    "runtime.nodes: docker, or map its image: images",
                ) from None
        return self._sandboxes[place.pod.meta.uid].ident

    def _name(self, pod: Pod, container: str) -> str:
        """Of a container, in the daemon's one name space."""
        meta = pod.meta
        lab = self.daemon.engine.owner.lab
        number = next(self._numbers)
        return f"testbed-{lab}_{meta.namespace}_{meta.name}_{container}_{number}"

    async def join(
        self, started: DockerContainer, argv: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> RunningCommand:
        """Start a further command in a container. Raises StartError."""
        what, ident = await prepared(self.daemon, started.ident, argv, stdin=stdin, tty=tty)
        running = await launch(self._processes, what, stdin=stdin, tty=tty)
        return RunningCommand(
            running.process,
            running.pid,
            running.log,
            running.stdin,
            running.terminal,
            Command(self.daemon, ident, running.process),
        )


def _user(security: SecurityContext) -> str | None:
    """As Docker spells it; None: the image's own."""
    user, group = security.run_as_user, security.run_as_group
    if user is None and group is None:
        return None
    return f"{user or 0}" if group is None else f"{user or 0}:{group}"
