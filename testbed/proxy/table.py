"""Services x endpoints x node -> ForwardingTable: what a node forwards, whatever spells it.

A table is derived from the one before, and from another node's, as far as nothing changed: what it costs
grows with what differs. The result never depends on either.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from immutables import Map

from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.nodes import ZONE_LABEL, Node
from testbed.model.objects.services import Service
from testbed.proxy.endpoints import Place
from testbed.proxy.entries import Around, ServicePortEntry, service_entries
from testbed.proxy.family import addresses
from testbed.shared_map import SharedMap
from testbed.store import Key, Snapshot

__all__ = ["ForwardingTable", "ProxyConfig", "ServicePortEntry", "forwarding_table"]

_FEW = 64
"""So many changed services are exchanged in the list of ports; more are worth putting it together anew."""

Entries = tuple[ServicePortEntry, ...]
Slices = Map[Key, tuple[EndpointSlice, ...]]


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
    keep_stale_udp: bool = False
    """The fault of kubernetes #59368: UDP conntrack entries stay, whatever becomes of endpoints."""
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
    by_service: SharedMap[Key, Entries] = field(compare=False, repr=False)
    """What two tables differ in, `changed_since` tells without walking both. In no order."""
    slices: Slices = field(compare=False, repr=False)
    """By their service."""
    of_this_node: Map[Key, None] = field(compare=False, repr=False)
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
    services = snapshot.of(Service)
    changed = {*services.changed_since(start.snapshot.of(Service)), *with_slices}
    if start.around != around:
        changed.update(start.of_this_node)
    if changed:
        made = tables[-1] if tables and _same_objects(tables[-1], snapshot) else None
        start = _recomputed(start, made, _Now(services, slices, around), changed)
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
    no_entries: SharedMap[Key, Entries] = SharedMap()
    return ForwardingTable("", "", (), config, (), 0, Snapshot(0, {}), no_entries, Map(), Map())


def _same_objects(table: ForwardingTable, snapshot: Snapshot) -> bool:
    return all(table.snapshot.of(kind) is snapshot.of(kind) for kind in (Service, EndpointSlice))


def _slices_by_service(start: ForwardingTable, snapshot: Snapshot) -> tuple[Slices, Iterable[Key]]:
    """The index of the slices, in order of their names, and the services whose slices differ."""
    changed = snapshot.of(EndpointSlice).changed_since(start.snapshot.of(EndpointSlice))
    if not changed:
        return start.slices, ()
    added: dict[Key, list[EndpointSlice]] = {}
    for old, new in changed.values():
        if old is not None:
            added.setdefault(old.service, [])
        if new is not None:
            added.setdefault(new.service, []).append(new)
    index = start.slices.mutate()
    for service, items in added.items():
        items += [item for item in start.slices.get(service, ()) if _key(item) not in changed]
        # Which of two equal endpoints is kept must not depend on history.
        found = tuple(sorted(items, key=_slice_name) if len(items) > 1 else items)
        if found:
            index[service] = found
        else:
            index.pop(service, None)
    return index.finish(), added.keys()


def _key(item: EndpointSlice) -> Key:
    return item.meta.namespace, item.meta.name


def _slice_name(item: EndpointSlice) -> str:
    return item.meta.name


# What follows from it


@dataclass(frozen=True, slots=True)
class _Now:
    services: SharedMap[Key, Service]
    slices: Slices
    around: Around


def _recomputed(
    start: ForwardingTable, made: ForwardingTable | None, now: _Now, changed: set[Key]
) -> ForwardingTable:
    """`start` with the changed services decided again; taken from `made` where no node matters."""
    of_this_node = start.of_this_node.mutate()
    known = start.known_endpoints
    exchanged: dict[Key, Entries] = {}
    for key in sorted(changed):
        entries, differs = _decided(key, made, now)
        if differs:
            of_this_node[key] = None
        else:
            of_this_node.pop(key, None)
        before = start.by_service.get(key, ())
        known += _known(entries) - _known(before)
        if before != entries:
            exchanged[key] = _reused(before, entries)
    by_service, ports = _exchanged(start, exchanged)
    return replace(
        start,
        ports=ports,
        known_endpoints=known,
        by_service=by_service,
        of_this_node=of_this_node.finish(),
    )


def _exchanged(
    start: ForwardingTable, exchanged: Mapping[Key, Entries]
) -> tuple[SharedMap[Key, Entries], Entries]:
    """The entries and the ports with those of some services, in order of their keys, exchanged."""
    if len(exchanged) > _FEW:
        every = sorted({**dict(start.by_service.items()), **exchanged}.items())
        anew = {key: entries for key, entries in every if entries}
        return SharedMap.of(anew), tuple(chain(*anew.values()))
    by_service, ports, done = start.by_service.mutate(), list[ServicePortEntry](), 0
    for key, entries in exchanged.items():
        before = start.by_service.get(key, ())
        place = bisect_left(start.ports, key, done, key=_service)
        ports += start.ports[done:place]
        ports += entries
        done = place + len(before)
        if entries:
            by_service[key] = entries
        elif before:
            del by_service[key]
    ports += start.ports[done:]
    return by_service.finish(), tuple(ports) if exchanged else start.ports


def _service(entry: ServicePortEntry) -> Key:
    return entry.namespace, entry.service


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
    if not before:
        return entries
    known = {(entry.port_name, entry.protocol): entry for entry in before}
    return tuple(
        old if (old := known.get((entry.port_name, entry.protocol))) == entry and old else entry
        for entry in entries
    )
