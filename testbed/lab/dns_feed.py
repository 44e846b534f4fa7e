"""What DNS servers know: every Service and EndpointSlice, at once and then change by change."""

from __future__ import annotations

from testbed.model.manifest import to_manifest
from testbed.model.objects import EndpointSlice, Service
from testbed.runtime.processes import LabProcess
from testbed.store import Change, Store

_KINDS = (Service, EndpointSlice)


class DnsFeed:
    """Feeds the DNS servers of a lab from its store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._servers: list[LabProcess] = []
        store.watch(self._changed)

    def add(self, server: LabProcess) -> None:
        """Tell a new server the whole state; from then on it is told what changes."""
        if server.channel is None:
            return
        snapshot = self._store.snapshot()
        objects = [to_manifest(item) for kind in _KINDS for item in snapshot.list(kind)]
        version = snapshot.resource_version
        server.channel.send({"objects": objects, "resource_version": version, "synced": True})
        self._servers.append(server)

    def _changed(self, changes: tuple[Change, ...]) -> None:
        self._servers = [server for server in self._servers if server.running]
        told = [change for change in changes if isinstance(change.object, _KINDS)]
        if not told or not self._servers:
            return
        message = {
            "changes": [
                {"type": change.type, "object": to_manifest(change.object)} for change in told
            ],
            "resource_version": told[-1].resource_version,
        }
        for server in self._servers:
            if server.channel is not None:
                server.channel.send(message)
