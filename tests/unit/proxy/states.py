"""Snapshots and tables of the flow table's cluster states."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from testbed.model.objects.metadata import Object
from testbed.proxy.table import ForwardingTable, ProxyConfig, forwarding_table
from testbed.store import Create, Snapshot, Store
from tests.addresses import CLUSTER_CIDR, PLAN
from tests.flows import cluster, nodes

CONFIG = ProxyConfig(cluster_cidr=CLUSTER_CIDR)


def snapshot_with(objects: Iterable[Object]) -> Snapshot:
    """A store's snapshot that holds the plan's nodes and some objects."""
    store = Store(lambda: 0.0)
    store.apply(Create(item) for item in (*nodes(PLAN), *objects))
    return store.snapshot()


@cache
def snapshot_of(state: str) -> Snapshot:
    """The snapshot of one state of the flow table."""
    return snapshot_with(cluster(PLAN, state))


def table_of(snapshot: Snapshot, node: str = "n1") -> ForwardingTable:
    """A node's table from scratch."""
    return forwarding_table(snapshot, CONFIG, node)
