"""Deployments: names, replacement, scaling, a changed template, the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.controllers.pod_deletion import deletion, ended
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import (
    ORDINAL_NAMES_ANNOTATION,
    TEMPLATE_HASH_LABEL,
    Deployment,
    ReplicaSet,
)
from testbed.store import Create, Delete, Store, Update

from .cluster import deployment, pod, running, stored
from .converging import converge, failed, start_all

ORDINAL = {ORDINAL_NAMES_ANNOTATION: "ordinal"}


def settle(store: Store, serve: bool = True) -> None:
    """Until all is quiet; in between, with `serve`, pods begin to serve and terminating ones go."""
    converge(store, between=start_all if serve else lambda _: None)


def names(store: Store) -> list[str]:
    return [found.meta.name for found in store.list(Pod)]


def fresh(replicas: int = 3) -> Store:
    """A Deployment `web` with ordinal names, all of whose pods serve."""
    store = stored(deployment("web", replicas, annotations=ORDINAL))
    settle(store)
    return store


def scale(store: Store, replicas: int) -> None:
    found = store.get(Deployment, "default", "web")
    store.apply([Update(replace(found, replicas=replicas))])


def test_ordinal_names_and_what_a_pod_inherits() -> None:
    store = fresh()
    assert names(store) == ["web-0", "web-1", "web-2"]
    (between,) = store.list(ReplicaSet)
    owner = store.get(Deployment, "default", "web")
    found = store.get(Pod, "default", "web-0")
    assert found.meta.owner is not None
    assert between.meta.owner is not None
    assert (found.meta.owner.kind, found.meta.owner.uid) == ("ReplicaSet", between.meta.uid)
    assert (between.meta.owner.kind, between.meta.owner.uid) == ("Deployment", owner.meta.uid)
    assert found.meta.labels["app"] == "web"
    assert found.spec.containers == owner.template.spec.containers


def test_names_by_hash_have_kubernetes_shape_and_never_vary() -> None:
    first, second = stored(deployment()), stored(deployment())
    settle(first)
    settle(second)
    assert names(first) == names(second)
    assert len(set(names(first))) == 3
    template_hash = first.list(Pod)[0].meta.labels[TEMPLATE_HASH_LABEL]
    for name in names(first):
        workload, middle, suffix = name.split("-")
        assert (workload, middle, len(suffix)) == ("web", template_hash, 5)


def test_a_taken_name_is_left_to_its_pod() -> None:
    store = stored(pod("web-1"), deployment("web", 2, annotations=ORDINAL))
    settle(store)
    assert sorted(names(store)) == ["web-0", "web-1", "web-2"]


Loss = Callable[[Pod], Update | Delete]
LOSSES: list[tuple[str, Loss, list[str]]] = [
    ("deleted at once: the lowest free ordinal is used again",
     lambda found: Delete("Pod", "default", found.meta.name), ["web-0", "web-1", "web-2"]),
    ("terminating: it counts as gone, its name is still taken",
     lambda found: Update(replace(found, meta=replace(found.meta, deletion_s=1.0))),
     ["web-0", "web-1", "web-2", "web-3"]),
    ("failed: it is replaced and stays for the record",
     failed,
     ["web-0", "web-1", "web-2", "web-3"]),
    ("evicted: likewise",
     lambda found: failed(found, "Evicted"),
     ["web-0", "web-1", "web-2", "web-3"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "loss", "expected"), LOSSES, ids=[row[0] for row in LOSSES])
def test_a_lost_pod_is_replaced(name: str, loss: Loss, expected: list[str]) -> None:
    store = fresh()
    store.apply([loss(store.get(Pod, "default", "web-1"))])
    settle(store, serve=False)
    assert sorted(names(store)) == expected


def terminating(store: Store) -> list[str]:
    return [found.meta.name for found in store.list(Pod) if found.meta.deletion_s is not None]


def test_scaling_down_takes_the_highest_ordinals_gracefully() -> None:
    store = fresh(12)
    scale(store, 9)
    settle(store, serve=False)
    assert terminating(store) == ["web-9", "web-10", "web-11"]
    assert store.get(Pod, "default", "web-11").meta.deletion_s == 7.0


def test_scaling_down_takes_pods_that_do_not_serve_first() -> None:
    store = fresh(4)
    for name, changes in (("web-0", {"ready": False}), ("web-1", {"phase": "Pending"})):
        found = store.get(Pod, "default", name)
        store.apply([Update(replace(found, status=replace(found.status, **changes)))])
    scale(store, 2)
    settle(store, serve=False)
    assert terminating(store) == ["web-0", "web-1"]


def test_a_pod_that_no_node_has_yet_is_deleted_at_once() -> None:
    store = stored(deployment("web", 3, annotations=ORDINAL))
    settle(store, serve=False)
    scale(store, 1)
    settle(store, serve=False)
    assert names(store) == ["web-0"]


def test_scaling_to_zero_and_back() -> None:
    store = fresh()
    scale(store, 0)
    settle(store)
    assert names(store) == []
    scale(store, 2)
    settle(store)
    assert names(store) == ["web-0", "web-1"]


@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 7, 20])
def test_a_changed_template_rolls_within_surge_and_availability(replicas: int) -> None:
    store = fresh(replicas)
    found = store.get(Deployment, "default", "web")
    spec = replace(found.template.spec, termination_grace_period_s=1.0)
    store.apply([Update(replace(found, template=replace(found.template, spec=spec)))])

    def within(store: Store) -> None:
        active = [item for item in store.list(Pod) if item.meta.deletion_s is None]
        assert len(active) <= replicas + -(-replicas // 4)
        assert sum(item.status.ready for item in active) >= replicas - replicas // 4

    def start_some(store: Store) -> None:
        within(store)
        start_all(store)

    converge(store, between=start_some)
    assert {item.spec.termination_grace_period_s for item in store.list(Pod)} == {1.0}
    assert len(store.list(Pod)) == replicas


def test_old_pods_that_never_served_do_not_hold_the_new_template_up() -> None:
    store = stored(deployment("web", 4, annotations=ORDINAL))
    settle(store, serve=False)
    found = store.get(Deployment, "default", "web")
    spec = replace(found.template.spec, restart_policy="OnFailure")
    store.apply([Update(replace(found, template=replace(found.template, spec=spec)))])
    settle(store)
    assert {item.spec.restart_policy for item in store.list(Pod)} == {"OnFailure"}


def test_pods_of_a_deleted_deployment_are_deleted_and_others_are_not() -> None:
    store = fresh()
    store.apply([Create(pod("lonely")), Delete("Deployment", "default", "web")])
    settle(store, serve=False)
    assert terminating(store) == ["web-0", "web-1", "web-2"]
    assert store.get(Pod, "default", "lonely").meta.deletion_s is None


def test_pods_of_a_deployments_namesake_are_not_taken_over() -> None:
    store = fresh()
    store.apply(
        [Delete("Deployment", "default", "web"), Create(deployment("web", 1, annotations=ORDINAL))]
    )
    settle(store, serve=False)
    assert terminating(store) == ["web-0", "web-1", "web-2"]
    assert names(store)[-1] == "web-3"


DELETIONS = [
    # name, node, phase, grace, force, terminating before, expected grace (None: deleted at once)
    ("graceful with the pod's own period", "n1", "Running", None, False, None, 30.0),
    ("graceful with another period", "n1", "Running", 5.0, False, None, 5.0),
    ("a grace of 0 is force", "n1", "Running", 0.0, False, None, None),
    ("force", "n1", "Running", None, True, None, None),
    ("not bound to a node", "", "Pending", None, False, None, None),
    ("ended already", "n1", "Failed", None, False, None, None),
    ("asked again: the period gets shorter", "n1", "Running", 5.0, False, 30.0, 5.0),
    ("asked again: the period never gets longer", "n1", "Running", 60.0, False, 30.0, 30.0),
]


@pytest.mark.parametrize(
    ("name", "node_name", "phase", "grace_s", "force", "before_s", "expected_s"),
    DELETIONS,
    ids=[row[0] for row in DELETIONS],
)
def test_how_a_pod_is_deleted(
    name: str,
    node_name: str,
    phase: str,
    *,
    grace_s: float | None,
    force: bool,
    before_s: float | None,
    expected_s: float | None,
) -> None:
    found = running(pod(), "10.244.1.2", node_name, phase=phase)
    if before_s is not None:
        meta = replace(found.meta, deletion_s=1.0, deletion_grace_period_s=before_s)
        found = replace(found, meta=meta)
    write = deletion(found, 9.0, grace_s, force=force)
    if expected_s is None:
        assert write == Delete("Pod", "default", "web-0", found.meta.uid)
        return
    assert isinstance(write, Update)
    meta = write.object.meta
    assert meta.deletion_grace_period_s == expected_s
    assert meta.deletion_s == (9.0 if before_s is None else 1.0)


def test_a_pod_with_a_finalizer_outlives_its_containers() -> None:
    found = with_meta(running(pod(), "10.244.1.2"), finalizers=("example.com/hold",))
    for write in (deletion(found, 9.0, force=True), ended(found, 9.0)):
        assert isinstance(write, Update)
        meta = write.object.meta
        assert (meta.deletion_s, meta.deletion_grace_period_s) == (9.0, 0.0)
