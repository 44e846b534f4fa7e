"""A topology -> the cluster state that its lab settles in: what `graph` shows before anything runs.

The controllers are the real ones; a kubelet is replaced by its good end. Addresses are handed out in
the order of the pods; in a lab that starts them side by side they may fall otherwise. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

from testbed.controllers.builtin import CONTROLLERS
from testbed.controllers.fresh_writes import apply_fresh
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import ContainerStatus, Pod, PodStatus
from testbed.model.shorthand import expand_allocated
from testbed.model.topology import Topology
from testbed.podnet.pool import AddressPool
from testbed.store import Create, Snapshot, Store, Update, Write

Pools = dict[str, tuple[AddressPool, ...]]


def foreseen(topology: Topology) -> Snapshot:
    """Every pod placed, with an address, and ready; every service with its endpoints.

    Raises OutOfTimeOrRoom for more pods on a node than it has addresses, UsageError as `expand`.
    """
    store = Store(lambda: 0.0, topology.name)
    objects = expand_allocated(topology)
    ready = (replace(item, ready=True) if isinstance(item, Node) else item for item in objects)
    store.apply([Create(item) for item in ready])
    pools = {
        node.meta.name: tuple(AddressPool(ip_network(cidr)) for cidr in node.pod_cidrs)
        for node in store.list(Node)
    }
    while True:
        before = store.resource_version
        for controller in CONTROLLERS:
            apply_fresh(store, controller.reconcile(store.snapshot(), 0.0)[0])
        store.apply(_started(store.snapshot(), pools))
        if store.resource_version == before:
            return store.snapshot()


def _started(snapshot: Snapshot, pools: Pools) -> Iterator[Write]:
    for pod in snapshot.list(Pod):
        if pod.spec.node_name and not pod.status.pod_ips:
            yield Update(replace(pod, status=_running(pod, pools)))


def _running(pod: Pod, pools: Pools) -> PodStatus:
    return PodStatus(
        phase="Running",
        pod_ips=tuple(str(pool.allocate()) for pool in pools[pod.spec.node_name]),
        ready=True,
        scheduled=True,
        containers=tuple(
            ContainerStatus(container.name, ready=True, state="running")
            for container in pod.spec.containers
        ),
    )
