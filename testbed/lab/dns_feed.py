"""What DNS servers know: the objects that names are made of, at once and then change by change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.clock import now_ns
from testbed.model.containers import Container
from testbed.model.documents import SYSTEM_NAMESPACES, Namespace
from testbed.model.manifest import to_manifest
from testbed.model.objects import (
    EndpointSlice,
    Object,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
    Service,
)
from testbed.runtime.processes import LabProcess
from testbed.store import Change, Store

_KINDS = (Service, EndpointSlice)
Message = dict[str, Any]


@dataclass(slots=True)
class _Told:
    """A server that is told."""

    server: LabProcess
    node: str
    pods: bool
    """Of pods, too."""


class DnsFeed:
    """Feeds the DNS servers of a lab from its store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._servers: list[_Told] = []
        tables = store.snapshot().tables
        inhabited = {namespace for table in tables.values() for namespace, _ in table if namespace}
        self._namespaces = {*SYSTEM_NAMESPACES, *inhabited}
        """Those that objects are in, or that have an object of their own."""
        self._held: dict[str, list[tuple[LabProcess, Message]]] = {}
        """What servers of nodes that are cut off have not been told, by node."""
        store.watch(self._changed)

    def add(self, server: LabProcess, node: str, *, pods: bool = False) -> None:
        """Tell a new server the whole state; from then on it is told what changes."""
        if server.channel is None:
            return
        snapshot = self._store.snapshot()
        objects: list[Object] = [*snapshot.list(Namespace)]
        named = {item.meta.name for item in objects}
        objects += map(_namespace, sorted(self._namespaces - named))
        objects += [item for kind in _KINDS for item in snapshot.list(kind)]
        objects += map(_brief, snapshot.list(Pod) if pods else ())
        version = snapshot.resource_version
        manifests = list(map(to_manifest, objects))
        message = {"objects": manifests, "resource_version": version, "synced": True}
        self._tell(server, node, message)
        self._servers.append(_Told(server, node, pods))

    def add_pods(self, server: LabProcess) -> None:
        """Tell a server of pods, too, from now on: its zone is to verify them."""
        for told in self._servers:
            if told.server is server and not told.pods:
                told.pods = True
                snapshot = self._store.snapshot()
                manifests = [to_manifest(_brief(pod)) for pod in snapshot.list(Pod)]
                version = snapshot.resource_version
                message = {"objects": manifests, "resource_version": version}
                self._tell(server, told.node, message)

    def tell_all(self, message: Message) -> None:
        """Tell every server something else."""
        for told in self._servers:
            self._tell(told.server, told.node, message)

    def hold(self, node: str) -> None:
        """Servers on this node hear nothing until `release`."""
        self._held.setdefault(node, [])

    def release(self, node: str) -> None:
        """They hear what they have missed."""
        for server, message in self._held.pop(node, ()):
            self._tell(server, node, message)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        self._servers = [told for told in self._servers if told.server.running]
        spelt = [_spelt(*change) for change in self._news(changes)]
        pods = [
            _spelt(change.type, _brief(change.object)) for change in changes if _concerns(change)
        ]
        for told in self._servers:
            news = spelt + (pods if told.pods else [])
            if news:
                version = changes[-1].resource_version
                message = {"changes": news, "resource_version": version, "written_ns": now_ns()}
                self._tell(told.server, told.node, message)

    def _news(self, changes: tuple[Change, ...]) -> Iterator[tuple[str, Object]]:
        """What names are made of, but for pods. A namespace is there as soon as something is in it."""
        for change in changes:
            item = change.object
            if isinstance(item, Namespace):
                yield change.type, item
                gone = change.type == "DELETED"
                (self._namespaces.discard if gone else self._namespaces.add)(item.meta.name)
            elif change.type == "ADDED" and item.meta.namespace not in self._namespaces | {""}:
                self._namespaces.add(item.meta.namespace)
                yield "ADDED", _namespace(item.meta.namespace)
            if isinstance(item, _KINDS):
                yield change.type, item

    def _tell(self, server: LabProcess, node: str, message: Message) -> None:
        if node in self._held:
            self._held[node].append((server, message))
        elif server.channel is not None:
            server.channel.send(message)


def _spelt(kind_of_change: str, item: Object) -> Message:
    return {"type": kind_of_change, "object": to_manifest(item)}


def _namespace(name: str) -> Namespace:
    """One that nobody has made an object for, with the label that the API gives to each."""
    return Namespace(ObjectMeta(name, labels={"kubernetes.io/metadata.name": name}))


def _concerns(change: Change) -> bool:
    """Whether a change of a pod is one of its addresses, its labels or its life."""
    item, before = change.object, change.previous
    if not isinstance(item, Pod):
        return False
    return change.type != "MODIFIED" or before is None or _brief(item) != _brief(before)


def _brief(pod: Object) -> Pod:
    """A pod as far as its names go."""
    assert isinstance(pod, Pod)
    meta = ObjectMeta(
        pod.meta.name, pod.meta.namespace, labels=pod.meta.labels, deletion_s=pod.meta.deletion_s
    )
    spec = PodSpec((Container("brief", "brief"),))
    return Pod(meta, spec, PodStatus(pod.status.phase, pod.status.pod_ips))
