"""`network.stickyIPs`: whose address a new pod takes over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.ip import IPAddress
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import ReplicaSet
from testbed.podnet.addresses import Addresses
from testbed.store import Snapshot

_ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Lease:
    """A pod's addresses. They stay with its workload when it is gone."""

    uid: str
    namespace: str
    name: str
    workload: tuple[str, str, str]
    """(kind, namespace, name) of what makes such pods; of a pod that nobody made, itself."""
    addresses: Addresses
    home: str
    """The node of whose range they are."""
    node: str
    """Where the pod runs, or ran."""


def workload_of(pod: Pod, snapshot: Snapshot) -> tuple[str, str, str]:
    """What makes pods like this one. A ReplicaSet stands for its Deployment, which has many in turn."""
    meta = pod.meta
    owner = meta.owner
    if owner is None:
        return Pod.kind, meta.namespace, meta.name
    if owner.kind == ReplicaSet.kind:
        made = snapshot.get(ReplicaSet, meta.namespace, owner.name)
        above = made.meta.owner if made is not None else None
        owner = above or owner
    return owner.kind, meta.namespace, owner.name


def inherited(pod: Pod, leases: Iterable[Lease], snapshot: Snapshot) -> Lease | None:
    """What a new pod takes over: its own addresses after a reboot, else those of a pod of its workload
    that has ended or is on its way out, one of the same name first. None: there is no such pod.
    """
    workload = workload_of(pod, snapshot)
    free = [
        lease
        for lease in leases
        if lease.uid == pod.meta.uid or (lease.workload == workload and not _stays(lease, snapshot))
    ]
    ranks = ((lease.uid != pod.meta.uid, lease.name != pod.meta.name, lease.name) for lease in free)
    return min(zip(ranks, free, strict=True), key=lambda row: row[0])[1] if free else None


def _stays(lease: Lease, snapshot: Snapshot) -> bool:
    pod = snapshot.get(Pod, lease.namespace, lease.name)
    return (
        pod is not None
        and pod.meta.uid == lease.uid
        and pod.meta.deletion_s is None
        and pod.status.phase not in _ENDED
    )


def is_orphaned(lease: Lease, snapshot: Snapshot) -> bool:
    """Whether nothing is left that could make an heir. A pod that nobody made may be made again."""
    kind, namespace, name = lease.workload
    return kind != Pod.kind and (namespace, name) not in snapshot.tables.get(kind, {})


def away(leases: Iterable[Lease]) -> dict[IPAddress, str]:
    """The addresses that are not on the node of their range -> the node where they are."""
    return {
        address: lease.node
        for lease in leases
        if lease.node != lease.home
        for address in lease.addresses
    }
