"""A cluster's names as a server hears of them from its supervisor, under whatever options it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from testbed.dns.surroundings import Names
from testbed.dns.zone import Zone
from testbed.dns.zone_options import ZoneOptions
from testbed.model.manifest import what_is_known
from testbed.model.objects.metadata import Object
from testbed.model.objects.services import Service

_Key = tuple[type[Object], str, str]


class ClusterNames:
    """Zones of one cluster, kept true."""

    def __init__(self) -> None:
        self._objects: dict[_Key, Object] = {}
        self._resource_version = 0
        self._synced = False
        self._all: dict[ZoneOptions, Names] = {}

    def under(self, options: ZoneOptions) -> Names:
        """The names under some options, from now on."""
        if options not in self._all:
            zone, _ = Zone(options).after(
                (("ADDED", item) for item in self._objects.values()), self._resource_version
            )
            self._all[options] = Names(zone, self._synced)
        return self._all[options]

    def keep(self, used: Collection[ZoneOptions]) -> None:
        """Names under other options are kept true no more."""
        self._all = {options: names for options, names in self._all.items() if options in used}

    def hear(self, message: dict[str, Any]) -> frozenset[str]:
        """Take in {"objects": [manifest, …], "resource_version": n, "synced": true} or {"changes": [{"type":
        "ADDED", "object": manifest}, …], "resource_version": n}; returns the names that it touches.
        """
        changes = [("ADDED", what_is_known(manifest)) for manifest in message.get("objects", ())]
        changes += [
            (change["type"], what_is_known(change["object"]))
            for change in message.get("changes", ())
        ]
        self._note(changes)
        self._resource_version = message["resource_version"]
        self._synced = self._synced or message.get("synced", False)
        return frozenset().union(*(self._follow(names, changes) for names in self._all.values()))

    def service(self, namespace: str, name: str) -> Service | None:
        """A service that it has heard of."""
        found = self._objects.get((Service, namespace, name))
        return found if isinstance(found, Service) else None

    def _note(self, changes: Iterable[tuple[str, Object]]) -> None:
        for kind, item in changes:
            key = (type(item), item.meta.namespace, item.meta.name)
            if kind == "DELETED":
                self._objects.pop(key, None)
            else:
                self._objects[key] = item

    def _follow(self, names: Names, changes: list[tuple[str, Object]]) -> frozenset[str]:
        names.zone, touched = names.zone.after(changes, self._resource_version)
        names.synced = self._synced
        return touched
