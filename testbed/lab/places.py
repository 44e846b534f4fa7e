"""WHERE, resolved for a process that is to run there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed.ip import families_of
from testbed.lab import names
from testbed.lab.cluster import Cluster
from testbed.lab.node import LabNode
from testbed.model.objects import Pod
from testbed.runtime.netns import path_of


@dataclass(frozen=True, slots=True)
class Place:
    """A node, an outside host or a pod; `netns` is a path that every process of the lab can open."""

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


class Places:
    """Finds places in a cluster, and keeps their name files under `folder`."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder / "etc"

    def find(self, where: str) -> Place:
        """The place that `where` names. Raises NotFound, CheckFailed where its node is stopped."""
        cluster = self._cluster
        kind, name, pod = names.find(where, cluster.store.snapshot(), cluster.machines())
        if pod is None:
            cluster.power.require(name)
            namespace = cluster.namespace(name)
            hosts = _hosts(name, map(str, cluster.addresses(name)))
            node = name if kind == "node" else ""
            text = cluster.resolv_conf(None)
            return Place(kind, name, name, path_of(namespace), node, text, hosts, None)
        runtime = self.node_of(pod).runtime
        hosts = _hosts(pod.meta.name, pod.status.pod_ips)
        return Place(
            kind,
            name,
            pod.meta.name,
            path_of(runtime.namespace(pod.meta.uid)),
            pod.spec.node_name,
            self.resolv_conf(pod),
            hosts,
            pod,
        )

    def node_of(self, pod: Pod) -> LabNode:
        """The node that a pod runs on. Raises CheckFailed where it is stopped."""
        return self._cluster.node(pod.spec.node_name)

    def resolv_conf(self, pod: Pod) -> str:
        """Text of a pod's resolv.conf, by its dnsPolicy."""
        in_cluster = pod.spec.dns_policy != "Default"
        return self._cluster.resolv_conf(pod.meta.namespace if in_cluster else None)

    def files(self, place: Place) -> tuple[str, str]:
        """Paths of the place's resolv.conf and hosts file, written."""
        folder = self._folder / place.name.replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(place.resolv_conf)
        (folder / "hosts").write_text(place.hosts)
        return str(folder / "resolv.conf"), str(folder / "hosts")


def _hosts(name: str, addresses: Iterable[str]) -> str:
    """Text of a hosts file, as the kubelet writes it; without IPv6 there is no ::1 either."""
    own = tuple(addresses)
    loopback = ["127.0.0.1 localhost"]
    if 6 in families_of(own):
        loopback.append("::1 localhost ip6-localhost ip6-loopback")
    return "".join(f"{line}\n" for line in (*loopback, *(f"{address} {name}" for address in own)))
