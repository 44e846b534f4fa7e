"""What DNS servers know: the objects that names are made of, at once and then change by change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from testbed.clock import now_ns
from testbed.lab.dns_known import KINDS, NOTHING, Known, brief, implied
from testbed.model.documents import SYSTEM_NAMESPACES, Namespace
from testbed.model.manifest import to_manifest
from testbed.model.objects.metadata import Object
from testbed.model.objects.pods import Pod
from testbed.runtime.processes import LabProcess
from testbed.store import Change, Store

Message = dict[str, Any]


@dataclass(slots=True)
class _Told:
    """A server that is told."""

    server: LabProcess
    node: str
    pods: bool
    """Of pods, too."""
    knows: Known | None = None
    """While its node is cut off: what it knew by then. It misses a state, however many changes there are."""
    missed: Message | None = None
    """The last thing else that it was not told then."""
    missed_ns: int | None = None
    """When the first change was that it was not told then: from there it is counted how long all took."""


class DnsFeed:
    """Feeds the DNS servers of a lab from its store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._servers: list[_Told] = []
        tables = store.snapshot().tables
        inhabited = {namespace for table in tables.values() for namespace, _ in table if namespace}
        self._namespaces = {*SYSTEM_NAMESPACES, *inhabited}
        """Those that objects are in, or that have an object of their own."""
        self._told_of = store.snapshot()
        """The version of the state that servers are told of, where they hear anything."""
        self._cut_off: set[str] = set()
        """Nodes."""
        store.watch(self._changed)

    def add(self, server: LabProcess, node: str, *, pods: bool = False) -> None:
        """Tell a new server the whole state; from then on it is told what changes."""
        if server.channel is None:
            return
        told = _Told(server, node, pods)
        self._servers.append(told)
        if node in self._cut_off:
            told.knows = NOTHING
        else:
            self._tell_whole(told)

    def add_pods(self, server: LabProcess) -> None:
        """Tell a server of pods, too, from now on: its zone is to verify them."""
        for told in self._servers:
            if told.server is server and not told.pods:
                told.pods = True
                if told.knows is None:
                    snapshot = self._told_of
                    manifests = [to_manifest(brief(pod)) for pod in snapshot.list(Pod)]
                    version = snapshot.resource_version
                    _send(server, {"objects": manifests, "resource_version": version})

    def tell_all(self, message: Message) -> None:
        """Tell every server something else, which takes the place of what was said so before."""
        for told in self._servers:
            if told.knows is None:
                _send(told.server, message)
            else:
                told.missed = message

    def hold(self, node: str) -> None:
        """Servers on this node hear nothing until `release`."""
        self._cut_off.add(node)
        for told in self._servers:
            if told.node == node and told.knows is None:
                told.knows = self._known(pods=told.pods)

    def release(self, node: str) -> None:
        """They hear what has changed meanwhile."""
        self._cut_off.discard(node)
        for told in self._servers:
            if told.node == node and told.knows is not None:
                self._catch_up(told, told.knows)
                if told.missed is not None:
                    _send(told.server, told.missed)
                told.knows = told.missed = told.missed_ns = None

    def _known(self, *, pods: bool) -> Known:
        return Known(self._told_of, frozenset(self._namespaces), pods)

    def _tell_whole(self, told: _Told) -> None:
        manifests = list(map(to_manifest, self._known(pods=told.pods).objects()))
        version = self._told_of.resource_version
        _send(told.server, {"objects": manifests, "resource_version": version, "synced": True})

    def _catch_up(self, told: _Told, knew: Known) -> None:
        """Tell it what is another than what it knew, in one message."""
        if knew is NOTHING:
            self._tell_whole(told)
            return
        news = [spelt(*change) for change in self._known(pods=told.pods).since(knew)]
        if news:
            message = {"changes": news, "resource_version": self._told_of.resource_version}
            if told.missed_ns is not None:
                message["written_ns"] = told.missed_ns
            _send(told.server, message)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        self._servers = [told for told in self._servers if told.server.running]
        self._told_of = self._store.snapshot()
        named = [spelt(*change) for change in self._news(changes)]
        pods = [spelt(change.type, brief(change.object)) for change in changes if _concerns(change)]
        for told in self._servers:
            news = named + (pods if told.pods else [])
            if news and told.knows is not None:
                told.missed_ns = told.missed_ns or now_ns()
            elif news:
                version = changes[-1].resource_version
                message = {"changes": news, "resource_version": version, "written_ns": now_ns()}
                _send(told.server, message)

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
                yield "ADDED", implied(item.meta.namespace)
            if isinstance(item, KINDS):
                yield change.type, item


def _send(server: LabProcess, message: Message) -> None:
    if server.channel is not None:
        server.channel.send(message)


def spelt(kind_of_change: str, item: Object) -> Message:
    """A change as servers hear it."""
    return {"type": kind_of_change, "object": to_manifest(item)}


def _concerns(change: Change) -> bool:
    """Whether a change of a pod is one of its addresses, its labels or its life."""
    item, before = change.object, change.previous
    if not isinstance(item, Pod):
        return False
    return change.type != "MODIFIED" or before is None or brief(item) != brief(before)
