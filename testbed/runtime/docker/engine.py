"""What a lab asks of the Docker daemon. Every method blocks: call it from a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from docker.errors import APIError
from docker.types import Mount

from testbed.errors import TestbedError
from testbed.runtime.docker import pause
from testbed.runtime.docker.daemon import connect, local_image, pull, said
from testbed.runtime.docker.labels import Owner
from testbed.runtime.docker.outside import Outside
from testbed.runtime.docker.wanted import Held, Wanted

_PAUSE_IMAGE = "testbed/pause"
_NODE_CAPABILITIES = ("NET_ADMIN", "NET_RAW")
"""So that ip, tcpdump and the like work in a node as they do in other labs."""
_GONE = (304, 404, 409)
"""HTTP: already so, no such container, not running."""


class Engine:
    """The daemon, for one lab."""

    def __init__(self, url: str, owner: Owner, outside: Outside) -> None:
        self.url = url
        self.owner = owner
        self.outside = outside
        self._client = connect(url)
        self._pause = ""
        self._making_pause = threading.Lock()

    def image(self, name: str, *, pulled: bool) -> str:
        """The id of an image; "" where the daemon has none, and does not pull it. Raises TestbedError."""
        with said(f"image {name}"):
            found = local_image(self._client, name)
        return found or (self.fetched(name) if pulled else "")

    def fetched(self, name: str) -> str:
        """The id of an image that is fetched whether it is there or not. Raises TestbedError."""
        return pull(self._client, name)

    def node(self, name: str, image: str, files: Mapping[str, str]) -> Held:
        """A node's container, whatever its image runs otherwise. `files`: path in it -> file of this machine.

        Raises TestbedError, MissingFeature.
        """
        wanted = Wanted(
            f"testbed-{self.owner.lab}-{name}",
            image,
            self.owner.labels(node=name),
            hostname=name,
            mounts=tuple((source, target, True) for target, source in files.items()),
            capabilities=_NODE_CAPABILITIES,
        )
        with said(f"node {name}"):
            return self._holding(wanted, self._with_pause)

    def sandbox(self, pod: str, name: str, hostname: str) -> Held:
        """What holds the namespaces of a pod; `pod` is its namespace and name. Raises TestbedError."""
        wanted = Wanted(
            name,
            self._pause_image(),
            self.owner.labels(pod=pod),
            hostname=hostname,
            ipc="shareable",
        )
        with said(f"pod {pod}"):
            return self._holding(wanted, lambda ident: None)

    def make(self, wanted: Wanted) -> str:
        """A container that has not started; its id. Raises TestbedError."""
        with said(f"container {wanted.name}"):
            return self._create(wanted)

    def pid(self, ident: str) -> int:
        """A container's process, as the host counts; 0: it does not run."""
        with said("container"):
            return int(self._client.inspect_container(ident)["State"]["Pid"])

    def signal(self, ident: str, signum: int) -> None:
        """To a container's process; nothing happens where it does not run."""
        with said("container"), _unless_gone():
            self._client.kill(ident, signum)

    def remove(self, ident: str) -> None:
        """A container, running or not, and its anonymous volumes. Idempotent."""
        with said("container"), _unless_gone():
            self._client.remove_container(ident, v=True, force=True)

    def command(self, ident: str, argv: Sequence[str], **options: Any) -> str:
        """Prepare a command in a container; its id. `options`: as Docker's exec takes them."""
        with said(f"command {argv[0]}"):
            return str(self._client.exec_create(ident, list(argv), **options)["Id"])

    def command_pid(self, ident: str) -> int:
        """Of a command that was started, as the host counts; 0: it has ended."""
        with said("command"):
            state = self._client.exec_inspect(ident)
            return int(state["Pid"]) if state["Running"] else 0

    def _holding(self, wanted: Wanted, prepare: Callable[[str], None]) -> Held:
        ident = self._create(replace(wanted, entrypoint=(pause.PATH,)))
        try:
            prepare(ident)
            self._client.start(ident)
            pid = int(self._client.inspect_container(ident)["State"]["Pid"])
            return Held(ident, self.outside.namespace(pid, ident))
        except BaseException:
            with suppress(TestbedError, APIError):
                self.remove(ident)
            raise

    def _with_pause(self, ident: str) -> None:
        self._client.put_archive(ident, "/", pause.archive())

    def _create(self, wanted: Wanted) -> str:
        host_config = self._client.create_host_config(
            network_mode=wanted.network,
            mounts=[Mount(to, source, "bind", ro) for source, to, ro in wanted.mounts],
            ipc_mode=wanted.ipc,
            cap_add=list(wanted.capabilities),
        )
        made = self._client.create_container(
            wanted.image,
            name=wanted.name,
            labels=dict(wanted.labels),
            hostname=wanted.hostname,
            working_dir=wanted.working_dir,
            user=wanted.user,
            tty=wanted.tty,
            stdin_open=wanted.stdin,
            host_config=host_config,
            healthcheck={"test": ["NONE"]},  # a pod's probes are its manifest's
            entrypoint=None if wanted.entrypoint is None else list(wanted.entrypoint),
            command=None if wanted.command is None else list(wanted.command),
            environment=dict(wanted.environment),
        )
        return str(made["Id"])

    def _pause_image(self) -> str:
        with self._making_pause:
            if not self._pause:
                labels = [f'LABEL "{key}"="{value}"' for key, value in self.owner.labels().items()]
                with said("the image of sandboxes"):
                    self._client.import_image_from_data(
                        pause.archive(), _PAUSE_IMAGE, self.owner.instance, changes=labels
                    )
                self._pause = f"{_PAUSE_IMAGE}:{self.owner.instance}"
            return self._pause


@contextmanager
def _unless_gone() -> Iterator[None]:
    try:
        yield
    except APIError as error:
        if error.response is None or error.response.status_code not in _GONE:
            raise
