"""Services x endpoints x node -> ForwardingTable: what a node forwards, whatever spells it.

A table is derived from the one before, and from another node's, as far as nothing changed: what it costs
grows with what differs. The result never depends on either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, compress, count, islice, repeat
from operator import is_, is_not
from typing import TypeVar, cast

from testbed.model.objects import ZONE_LABEL, EndpointSlice, Node, Service
from testbed.proxy.endpoints import Place
from testbed.proxy.entries import Around, ServicePortEntry, service_entries
from testbed.proxy.family import addresses
from testbed.store import Key, Snapshot

__all__ = ["ForwardingTable", "ProxyConfig", "ServicePortEntry", "forwarding_table"]

T = TypeVar("T")

_FEW = 8
"""So many changed services are exchanged in the list of ports; more are worth putting it together anew."""

Entries = tuple[ServicePortEntry, ...]


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """kube-proxy's options that rules depend on.

    `cluster_cidr` is the local detector: a source inside it is a pod. Empty: nobody is told apart,
    and cluster-IP traffic from outside is not masqueraded.
    """

    cluster_cidr: str = ""
    masquerade_all: bool = False
    family: int = 4
    """4 or 6. Whatever has an address in a table is of this family."""
    documented: bool = False
    """Do what the Kubernetes documentation promises, where kube-proxy 1.36 does not."""
    service_cidr: str = ""
    node_port_addresses: tuple[str, ...] = ()
    """CIDRs, or `primary`, of the node's addresses that node ports answer on; empty: as the mode does."""


@dataclass(frozen=True, slots=True)
class ForwardingTable:
    """All service ports of one node, ordered by namespace, service, port name and protocol.

    The fields that do not compare are what the next table is derived from, this node's or another's.
    """

    node: str
    zone: str
    node_ips: tuple[str, ...]
    config: ProxyConfig
    ports: Entries
    known_endpoints: int
    snapshot: Snapshot = field(compare=False, repr=False)
    by_service: Mapping[Key, Entries] = field(compare=False, repr=False)
    slices: Mapping[Key, tuple[EndpointSlice, ...]] = field(compare=False, repr=False)
    """By their service."""
    of_this_node: frozenset[Key] = field(compare=False, repr=False)
    """Services whose entries may differ from node to node: those with a policy Local, with hints, with
    source ranges. All others' are the same objects on all nodes whose tables stem from each other."""

    @property
    def around(self) -> Around:
        return Around(self.config.family, Place(self.node, self.zone), self.node_ips)

    @property
    def resource_version(self) -> int:
        """The store's version that the table was computed from."""
        return self.snapshot.resource_version


def forwarding_table(
    snapshot: Snapshot,
    config: ProxyConfig,
    node: str,
    previous: ForwardingTable | None = None,
    shared: ForwardingTable | None = None,
) -> ForwardingTable:
    """The table of one node. Entries that did not change are the same objects as in `previous`; those
    that did, the same as in `shared` where that is of the same services and slices.

    Both may stem from any other state and any other node: they only save work.
    """
    around = _around(snapshot, config, node)
    tables = [table for table in (previous, shared) if table and table.config == config]
    start = tables[0] if tables else _nothing(config)
    slices, with_slices = _slices_by_service(start, snapshot)
    changed = {*_different(_services(start.snapshot), _services(snapshot)), *with_slices}
    if start.around != around:
        changed |= start.of_this_node
    if changed:
        made = tables[-1] if tables and _same_objects(tables[-1], snapshot) else None
        start = _recomputed(start, made, _Now(_services(snapshot), slices, around), changed)
    return replace(
        start,
        node=node,
        zone=around.place.zone,
        node_ips=around.node_ips,
        snapshot=snapshot,
        slices=slices,
    )


def _around(snapshot: Snapshot, config: ProxyConfig, node: str) -> Around:
    found = snapshot.get(Node, "", node)
    if found is None:
        return Around(config.family, Place(node, ""), ())
    zone = found.meta.labels.get(ZONE_LABEL, "")
    return Around(config.family, Place(node, zone), addresses(found.internal_ips, config.family))


def _nothing(config: ProxyConfig) -> ForwardingTable:
    return ForwardingTable("", "", (), config, (), 0, Snapshot(0, {}), {}, {}, frozenset())


# What changed. Snapshots share what did not.


def _services(snapshot: Snapshot) -> Mapping[Key, Service]:
    return cast("Mapping[Key, Service]", snapshot.tables.get(Service.kind, {}))


def _slices(snapshot: Snapshot) -> Mapping[Key, EndpointSlice]:
    return cast("Mapping[Key, EndpointSlice]", snapshot.tables.get(EndpointSlice.kind, {}))


def _same_objects(table: ForwardingTable, snapshot: Snapshot) -> bool:
    return _services(table.snapshot) is _services(snapshot) and _slices(table.snapshot) is _slices(
        snapshot
    )


def _different(before: Mapping[Key, T], now: Mapping[Key, T]) -> list[Key]:
    """Keys whose objects differ, those that are gone included. An object says its own key."""
    if before is now:
        return []
    # Mostly both have the same keys in the same order: then no key need be looked up, and no Python
    # loop goes over ten thousand objects that are the same.
    pairs = list(
        compress(zip(now, before, strict=False), map(is_not, now.values(), before.values()))
    )
    if len(now) >= len(before) and all(new == old for new, old in pairs):
        return [*(new for new, _ in pairs), *islice(now, len(before), None)]
    found = [key for key, item in now.items() if before.get(key) is not item]
    found.extend(key for key in before if key not in now)
    return found


def _slices_by_service(
    start: ForwardingTable, snapshot: Snapshot
) -> tuple[Mapping[Key, tuple[EndpointSlice, ...]], Iterable[Key]]:
    """The index of the slices, in order of their names, and the services whose slices differ."""
    old, new = _slices(start.snapshot), _slices(snapshot)
    different = _different(old, new)
    if not different:
        return start.slices, ()
    added: dict[Key, list[EndpointSlice]] = {}
    for key in different:
        for side in (old, new):
            if key in side:
                added.setdefault(side[key].service, [])
        if key in new:
            added[new[key].service].append(new[key])
    touched = set(different)
    index = dict(start.slices)
    for service, items in added.items():
        kept = [item for item in index.get(service, ()) if _key(item) not in touched]
        # Which of two equal endpoints is kept must not depend on history.
        index[service] = tuple(sorted([*kept, *items], key=_slice_name))
        if not index[service]:
            del index[service]
    return index, added.keys()


def _key(item: EndpointSlice) -> Key:
    return item.meta.namespace, item.meta.name


def _slice_name(item: EndpointSlice) -> str:
    return item.meta.name


# What follows from it


@dataclass(frozen=True, slots=True)
class _Now:
    services: Mapping[Key, Service]
    slices: Mapping[Key, tuple[EndpointSlice, ...]]
    around: Around


def _recomputed(
    start: ForwardingTable, made: ForwardingTable | None, now: _Now, changed: set[Key]
) -> ForwardingTable:
    """`start` with the changed services decided again; taken from `made` where no node matters."""
    by_service = dict(start.by_service)
    of_this_node = set(start.of_this_node)
    in_order, known = bool(by_service), start.known_endpoints
    swaps: list[tuple[Entries, Entries]] = []
    for key in changed:
        entries, differs = _decided(key, made, now)
        (of_this_node.add if differs else of_this_node.discard)(key)
        before = by_service.pop(key, ()) if not entries else by_service.get(key, ())
        known += _known(entries) - _known(before)
        in_order = in_order and bool(before or not entries)
        if entries and before != entries:
            by_service[key] = _reused(before, entries)
        swaps.append((before, by_service.get(key, ())))
    if not in_order:
        by_service = dict(sorted(by_service.items()))
    few = in_order and len(swaps) <= _FEW
    return replace(
        start,
        ports=_swapped(start.ports, swaps) if few else tuple(chain(*by_service.values())),
        known_endpoints=known,
        by_service=by_service,
        of_this_node=frozenset(of_this_node),
    )


def _swapped(ports: Entries, swaps: Iterable[tuple[Entries, Entries]]) -> Entries:
    """The ports with some services' own exchanged, where they stand."""
    for before, after in swaps:
        if before:
            place = next(compress(count(), map(is_, ports, repeat(before[0]))))
            ports = (*ports[:place], *after, *ports[place + len(before) :])
    return ports


def _decided(key: Key, made: ForwardingTable | None, now: _Now) -> tuple[Entries, bool]:
    if made is not None and key not in made.of_this_node:
        return made.by_service.get(key, ()), False
    service = now.services.get(key)
    if service is None:
        return (), False
    return service_entries(service, now.slices.get(key, ()), now.around)


def _known(entries: Iterable[ServicePortEntry]) -> int:
    return sum([entry.known_endpoints for entry in entries])


def _reused(before: Entries, entries: Entries) -> Entries:
    """`entries`, with an equal one of `before` in place of each."""
    known = {(entry.port_name, entry.protocol): entry for entry in before}
    return tuple(
        old if (old := known.get((entry.port_name, entry.protocol))) == entry and old else entry
        for entry in entries
    )
