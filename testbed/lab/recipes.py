"""What a pod's containers are made of: environment, name files, volumes, and where their own files lie."""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.dns.search import ResolvConf, pod_resolv_conf
from testbed.lab import pod_files
from testbed.lab.containers import Recipe
from testbed.lab.environment import Surroundings, environment, expanded
from testbed.lab.images import Kind, StandIn, base_name
from testbed.lab.volumes import VolumeFiles
from testbed.model.containers import Container, SecurityContext
from testbed.model.documents import DOCUMENTS
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.runtime.container_root import Mount
from testbed.runtime.netns import Place
from testbed.sandbox.world import in_user_namespace, mount
from testbed.store import Change, Store

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OBJECTS = ("ConfigMap", "Secret")
ACCOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """What a pod learns of its cluster."""

    domain: str
    dns_servers: Callable[[], tuple[str, ...]]
    node_addresses: Callable[[str], tuple[str, ...]]
    node_resolv_conf: Callable[[], str]
    """Text."""


class Recipes:
    """Makes them, and keeps what they refer to under `folder`."""

    def __init__(
        self, store: Store, folder: Path, network: PodNetwork, shown: Path | None = None
    ) -> None:
        """`shown`: where the files lie that containers are shown, if those outside of the lab's world are to
        find them, too; they find nothing of `folder`.
        """
        self.store = store
        self._folder = folder
        self._shown = shown
        self._network = network
        self._mounted = False
        self._volumes: dict[tuple[str, str], tuple[VolumeFiles, Container]] = {}
        """Of the containers that run, by the pod's uid and their name."""
        self._cancel: Callable[[], None] | None = None
        self.account: Callable[[Pod], Path | None] = lambda pod: None
        """Folder of what lets a pod's programs ask the API; None: they are not to."""

    def hostname(self, pod: Pod) -> str:
        """What the kernel calls the pod's machine."""
        if pod.spec.host_network:
            return pod.spec.node_name
        return pod_files.hostname(pod, self._network.domain)

    def name_files(self, pod: Pod, addresses: tuple[str, ...]) -> dict[str, str]:
        """Path in the pod -> text."""
        network = self._network
        in_cluster = ResolvConf(())
        if servers := network.dns_servers():
            in_cluster = pod_resolv_conf(pod.meta.namespace, network.domain, servers)
        elsewhere = network.node_resolv_conf()
        files = {
            "/etc/hostname": f"{self.hostname(pod)}\n",
            "/etc/resolv.conf": pod_files.resolv_conf(pod, in_cluster, elsewhere),
        }
        if not pod.spec.host_network:
            files["/etc/hosts"] = pod_files.pod_hosts(pod, addresses, network.domain)
        return files

    def recipe(self, place: Place, stands_in: StandIn) -> Recipe:
        """Of a container's own process. Raises NotYet, UsageError."""
        pod, container = place.pod, place.container
        env = self.environment(place)
        scratch = self._scratch(pod, container)
        security = security_of(pod, container)
        builtin = "agnhost" if stands_in.kind is Kind.AGNHOST else ""
        if base_name(container.image) == "agnhost":
            _offer_agnhost(scratch)
        return Recipe(
            argv=tuple(expanded(word, env) for word in stands_in.argv),
            env=env,
            hostname=self.hostname(pod),
            netns=place.netns,
            scratch=scratch,
            avoid=self._folder,
            mounts=self.mounts(place, env),
            builtin=builtin,
            cwd=expanded(container.working_dir, env),
            user=security.run_as_user,
            group=security.run_as_group,
        )

    def mounts(self, place: Place, env: Mapping[str, str]) -> tuple[Mount, ...]:
        """All that a container is shown. Raises NotYet, UsageError."""
        pod, container = place.pod, place.container
        around = self._around(place)
        volumes = VolumeFiles(pod, self._of_pod(pod) / "volumes", around, self._bytes_of(pod))
        mounts = volumes.mounts(container, env)
        self._volumes[pod.meta.uid, container.name] = volumes, container
        if container.volume_mounts and self._cancel is None:
            self._cancel = self.store.watch(self._changed)
        return (
            *self._names(place),
            *self._account(pod, container),
            self._message_mount(place),
            *mounts,
        )

    def bare(self, place: Place, argv: tuple[str, ...]) -> Recipe:
        """Of a command in a container whose own process is a server of the lab's, without files."""
        stands_in = StandIn(Kind.PROGRAM, argv)
        return replace(self.recipe(place, stands_in), argv=argv)

    def environment(self, place: Place) -> dict[str, str]:
        """All of a container's environment. Raises NotYet."""
        return {"PATH": os.environ.get("PATH", _PATH), "HOME": "/root", **self.asked_for(place)}

    def asked_for(self, place: Place) -> dict[str, str]:
        """What a container's environment has besides its image's. Raises NotYet."""
        own = environment(place.pod, place.container, self._around(place))
        base = {"HOSTNAME": self.hostname(place.pod)}
        if place.container.tty:
            base["TERM"] = "xterm"
        return {**base, **own}

    def message_file(self, place: Place) -> Path:
        """Where a container's termination message lies."""
        folder = self._of_pod(place.pod) / "messages"
        folder.mkdir(exist_ok=True)
        return folder / place.container.name

    def new_run(self, place: Place) -> None:
        """A container that starts again finds its files as they were at first; volumes stay."""
        self.message_file(place).unlink(missing_ok=True)
        shutil.rmtree(self._scratch(place.pod, place.container), ignore_errors=True)

    def forget(self, pod_uid: str) -> None:
        """A pod is no more."""
        if self._mounted:
            shutil.rmtree(self._folder / pod_uid, ignore_errors=True)
        if self._shown is not None:
            shutil.rmtree(self._shown / pod_uid, ignore_errors=True)
        for key in [key for key in self._volumes if key[0] == pod_uid]:
            del self._volumes[key]

    def _changed(self, changes: tuple[Change, ...]) -> None:
        """What volumes show of an object follows it."""
        for change in changes:
            if change.object.kind in _OBJECTS:
                for volumes, container in self._volumes.values():
                    if volumes.pod.meta.namespace == change.object.meta.namespace:
                        volumes.refresh(container)

    def _around(self, place: Place) -> Surroundings:
        pod, snapshot = place.pod, self.store.snapshot()
        services = [*snapshot.list(Service, pod.meta.namespace)]
        if pod.meta.namespace != "default":
            api = snapshot.get(Service, "default", "kubernetes")
            services += [api] if api is not None else []
        found = self._bytes_of(pod)

        def keys(kind: str, name: str) -> dict[str, str] | None:
            values = found(kind, name)
            if values is None:
                return None
            return {key: value.decode(errors="replace") for key, value in values.items()}

        return Surroundings(
            tuple(map(str, place.addresses)),
            self._network.node_addresses(place.node),
            tuple(services),
            keys,
            _capacity(),
        )

    def _bytes_of(self, pod: Pod) -> Callable[[str, str], Mapping[str, bytes] | None]:
        def keys(kind: str, name: str) -> Mapping[str, bytes] | None:
            found = self.store.snapshot().get(DOCUMENTS[kind], pod.meta.namespace, name)
            return None if found is None else _data(kind, found.body)

        return keys

    def _of_pod(self, pod: Pod) -> Path:
        """The folder of what its containers are shown."""
        folder = self._own_folder(pod) if self._shown is None else self._shown / pod.meta.uid
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _own_folder(self, pod: Pod) -> Path:
        """In the lab's tmpfs."""
        if not self._mounted:
            self._folder.mkdir(exist_ok=True)
            mount("containers", str(self._folder), "tmpfs", data="mode=755")
            self._mounted = True
        return self._folder / pod.meta.uid

    def _scratch(self, pod: Pod, container: Container) -> Path:
        folder = self._own_folder(pod) / "containers" / container.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _names(self, place: Place) -> list[Mount]:
        folder = self._of_pod(place.pod) / "etc"
        folder.mkdir(exist_ok=True)
        mounts = []
        taken = {wanted.mount_path for wanted in place.container.volume_mounts}
        for target, text in self.name_files(place.pod, tuple(map(str, place.addresses))).items():
            path = folder / Path(target).name
            if not path.exists():  # its containers may have written to it
                path.write_text(text)
            if target not in taken:
                mounts.append(Mount(str(path), target))
        return mounts

    def _account(self, pod: Pod, container: Container) -> list[Mount]:
        own = {wanted.mount_path.rstrip("/") for wanted in container.volume_mounts}
        folder = None if ACCOUNT_PATH in own else self.account(pod)
        return [Mount(str(folder), ACCOUNT_PATH, True)] if folder is not None else []

    def _message_mount(self, place: Place) -> Mount:
        path = self.message_file(place)
        path.touch()
        path.chmod(0o666)
        return Mount(str(path), place.container.termination_message_path)


def security_of(pod: Pod, container: Container) -> SecurityContext:
    """Who a container runs as; in a user namespace of one user there is nobody else to be."""
    of_pod = pod.spec.security_context or SecurityContext()
    own = container.security_context or SecurityContext()
    if in_user_namespace():
        return SecurityContext()
    user = of_pod.run_as_user if own.run_as_user is None else own.run_as_user
    group = of_pod.run_as_group if own.run_as_group is None else own.run_as_group
    return SecurityContext(user, group)


def other_user(pod: Pod, container: Container) -> int | None:
    """The user that a container should run as and cannot; None: it runs as it should."""
    wanted = [
        one.run_as_user for one in (container.security_context, pod.spec.security_context) if one
    ]
    asked = next((user for user in wanted if user is not None), None)
    return asked if asked and in_user_namespace() else None


def _offer_agnhost(scratch: Path) -> None:
    """For shells in an agnhost image: /agnhost."""
    script = scratch / "root" / "agnhost"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m testbed.traffic.agnhost "$@"\n')
    script.chmod(0o755)


def _data(kind: str, body: Mapping[str, Any]) -> dict[str, bytes]:
    """Keys of a ConfigMap or a Secret, whose data the API has checked to be base64."""
    encoded, plain = ("data", "stringData") if kind == "Secret" else ("binaryData", "data")
    found = {key: str(value).encode() for key, value in (body.get(plain) or {}).items()}
    for key, value in (body.get(encoded) or {}).items():
        try:
            found[key] = base64.b64decode(value)
        except (binascii.Error, ValueError):
            found[key] = str(value).encode()
    return found


def _capacity() -> dict[str, str]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpu": str(os.cpu_count() or 1), "memory": str(pages)}
