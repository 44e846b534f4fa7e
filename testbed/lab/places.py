"""WHERE, resolved for a process that is to run there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.lab import names, pod_files
from testbed.lab.cluster import Cluster
from testbed.lab.docker_daemon import Daemon
from testbed.lab.docker_lab import container_of
from testbed.lab.mininet import CLI
from testbed.lab.node import LabNode
from testbed.model.objects.pods import Pod
from testbed.runtime.netns import path_of


@dataclass(frozen=True, slots=True)
class Place:
    """What WHERE names; `netns` is a path that every process of the lab can open."""

    kind: names.Kind
    name: str
    """As people write it: n1, client, default/web-0."""
    hostname: str
    netns: str
    node: str
    """The node that its packets leave by: a pod's own, a node itself, "" for an outside host."""
    resolv_conf: str
    """Text."""
    hosts: str
    """Text."""
    pod: Pod | None

    @property
    def resolver(self) -> str | None:
        """Its resolv.conf; None where it is a machine that has nobody to ask for names."""
        can_ask = self.pod is not None or "nameserver" in self.resolv_conf
        return self.resolv_conf if can_ask else None


class Places:
    """Finds places in a cluster, and keeps their name files under `folder`."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder / "etc"

    def find(self, where: str) -> Place:
        """The place that `where` names. Raises NotFound, CheckFailed where its node is stopped."""
        cluster = self._cluster
        kind, name, pod = names.find(where, cluster.store.snapshot(), cluster.places())
        if pod is None:
            cluster.power.require(name)
            namespace = cluster.namespace(name)
            hosts = pod_files.hosts(name, map(str, cluster.addresses(name)))
            node = name if kind == "node" else ""
            text = cluster.resolv_conf(None)
            return Place(kind, name, name, path_of(namespace), node, text, hosts, None)
        runtime = self.node_of(pod).runtime
        files = cluster.recipes.name_files(pod, pod.status.pod_ips)
        return Place(
            kind,
            name,
            cluster.recipes.hostname(pod),
            path_of(runtime.namespace(pod.meta.uid)),
            pod.spec.node_name,
            files["/etc/resolv.conf"],
            files.get("/etc/hosts", ""),
            pod,
        )

    def mininet(self, where: str, words: Sequence[str]) -> list[str] | None:
        """What runs a line of Mininet's CLI, where that is meant."""
        if where != CLI or where in self._cluster.machines():
            return None
        return self._cluster.mininet.command(words)

    def container(self, where: str) -> str:
        """The id of the container that a node is, or a pod's first one; "": no container. Raises as `find`."""
        docker = self._cluster.docker
        if docker.daemon is None:
            return ""
        place = self.find(where)
        if place.pod is not None:
            started = self.node_of(place.pod).runtime.started(place.pod.meta.uid)
            return container_of(place.pod, started)
        is_one = place.kind == "node" and docker.nodes is not None
        return docker.container_of_node(place.name) if is_one else ""

    @property
    def daemon(self) -> Daemon:
        """Where there are containers."""
        assert self._cluster.docker.daemon is not None
        return self._cluster.docker.daemon

    def node_of(self, pod: Pod) -> LabNode:
        """The node that a pod runs on. Raises CheckFailed where it is stopped."""
        return self._cluster.node(pod.spec.node_name)

    def tools(self, place: Place) -> str:
        """A folder of programs that are its own, to be found before all others; "" where it has none."""
        return self._cluster.pod_network.speakers.tools(place.name) if place.pod is None else ""

    def files(self, place: Place) -> tuple[str, str]:
        """Paths of the place's resolv.conf and hosts file, written."""
        folder = self._folder / place.name.replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(place.resolv_conf)
        (folder / "hosts").write_text(place.hosts)
        return str(folder / "resolv.conf"), str(folder / "hosts")
