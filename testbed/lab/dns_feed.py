"""What DNS servers know: every Service and EndpointSlice, at once and then change by change."""

from __future__ import annotations

from typing import Any

from testbed.model.manifest import to_manifest
from testbed.model.objects import EndpointSlice, Service
from testbed.runtime.processes import LabProcess
from testbed.store import Change, Store

_KINDS = (Service, EndpointSlice)
Message = dict[str, Any]


class DnsFeed:
    """Feeds the DNS servers of a lab from its store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._servers: list[tuple[LabProcess, str]] = []
        """Each with its node."""
        self._held: dict[str, list[tuple[LabProcess, Message]]] = {}
        """What servers of nodes that are cut off have not been told, by node."""
        store.watch(self._changed)

    def add(self, server: LabProcess, node: str) -> None:
        """Tell a new server the whole state; from then on it is told what changes."""
        if server.channel is None:
            return
        snapshot = self._store.snapshot()
        objects = [to_manifest(item) for kind in _KINDS for item in snapshot.list(kind)]
        version = snapshot.resource_version
        self._tell(server, node, {"objects": objects, "resource_version": version, "synced": True})
        self._servers.append((server, node))

    def hold(self, node: str) -> None:
        """Servers on this node hear nothing until `release`."""
        self._held.setdefault(node, [])

    def release(self, node: str) -> None:
        """They hear what they have missed."""
        for server, message in self._held.pop(node, ()):
            self._tell(server, node, message)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        self._servers = [(server, node) for server, node in self._servers if server.running]
        told = [change for change in changes if isinstance(change.object, _KINDS)]
        if not told or not self._servers:
            return
        message = {
            "changes": [
                {"type": change.type, "object": to_manifest(change.object)} for change in told
            ],
            "resource_version": told[-1].resource_version,
        }
        for server, node in self._servers:
            self._tell(server, node, message)

    def _tell(self, server: LabProcess, node: str, message: Message) -> None:
        if node in self._held:
            self._held[node].append((server, message))
        elif server.channel is not None:
            server.channel.send(message)
