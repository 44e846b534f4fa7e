"""Controllers that work together on one store, with pods that begin to serve and end as told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from testbed.controllers import deployments, garbage, replica_sets
from testbed.controllers.decision import Reconcile
from testbed.controllers.fresh_writes import apply_fresh
from testbed.model.objects.pods import Pod
from testbed.store import Delete, Store, Update

from .cluster import running

WORKLOADS: tuple[Reconcile, ...] = (
    deployments.reconcile,
    replica_sets.reconcile,
    garbage.reconcile,
)


def converge(
    store: Store,
    controllers: Sequence[Reconcile] = WORKLOADS,
    now_s: float = 7.0,
    between: Callable[[Store], object] = lambda store: None,
) -> None:
    """Ask the controllers in turn until none has anything to write; `between` sees every state."""
    for _ in range(500):
        wrote = False
        for reconcile in controllers:
            writes, _ = reconcile(store.snapshot(), now_s)
            if writes:
                apply_fresh(store, writes)
                wrote = True
            between(store)
        if not wrote:
            return
    raise AssertionError("it never comes to rest")


def start_all(store: Store, *, bound: bool = False) -> None:
    """Without a kubelet: pods that are pending (with `bound`: and bound) serve, terminating ones are gone."""
    for index, found in enumerate(store.list(Pod)):
        if found.meta.deletion_s is not None:
            store.apply([Delete("Pod", found.meta.namespace, found.meta.name)])
        elif found.status.phase == "Pending" and (found.spec.node_name or not bound):
            ip, where = f"10.244.{index // 250}.{index % 250 + 1}", found.spec.node_name or "n1"
            store.apply([Update(running(found, ip, where))])


start_bound = partial(start_all, bound=True)


def failed(found: Pod, reason: str = "") -> Update:
    """The pod has ended badly."""
    return Update(replace(found, status=replace(found.status, phase="Failed", reason=reason)))
