"""What goes with its owner, what stays, and in which order; namespaces, which own what is in them."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.controllers import garbage, namespaces
from testbed.controllers.object_deletion import FOREGROUND, ORPHAN
from testbed.model.documents import ConfigMap, Namespace
from testbed.model.objects.metadata import Object, ObjectMeta, OwnerReference, with_meta
from testbed.model.objects.pods import Pod
from testbed.store import Delete, Store, Update

from .cluster import node, pod, running, snapshot, stored
from .converging import converge

ALL = (garbage.reconcile, namespaces.reconcile)


def config(name: str, *owners: OwnerReference, **meta: Any) -> ConfigMap:
    return ConfigMap(ObjectMeta(name, "default", owners=owners, **meta))


def by(name: str, uid: str = "", **fields: Any) -> OwnerReference:
    """A reference to a ConfigMap, by its name and uid."""
    return OwnerReference("ConfigMap", name, uid or f"uid-{name}", controller=False, **fields)


def top(name: str = "top", **meta: Any) -> ConfigMap:
    return config(name, uid=f"uid-{name}", **meta)


def names(store: Store) -> list[str]:
    return sorted(item.meta.name for item in store.list(ConfigMap))


def settle(store: Store) -> None:
    converge(store, ALL)


STAYS: list[tuple[str, tuple[Object, ...], bool]] = [
    ("its owner is there", (top(), config("it", by("top"))), True),
    ("its owner is not", (config("it", by("top")),), False),
    ("a namesake of its owner is", (top(), config("it", by("top", "uid-of-another"))), False),
    ("one of two owners is", (top(), config("it", by("top"), by("gone"))), True),
    ("it has none", (config("it"),), True),
    ("of a kind that is not stored here", (config("it", OwnerReference("Widget", "w", "u")),), True),
    ("an owner without a namespace",
     (node("n1"), config("it", OwnerReference("Node", "n1", "uid-of-another"))), False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "objects", "stays"), STAYS, ids=[row[0] for row in STAYS])
def test_what_stays(name: str, objects: tuple[Object, ...], *, stays: bool) -> None:
    store = stored(*objects)
    settle(store)
    assert ("it" in names(store)) is stays


def test_a_reference_to_an_owner_that_is_gone_is_taken_out() -> None:
    store = stored(top(), config("it", by("top"), by("gone")))
    settle(store)
    assert store.get(ConfigMap, "default", "it").meta.owners == (by("top"),)


def test_what_is_owned_by_what_is_owned_goes_too_and_pods_gracefully() -> None:
    web = with_meta(running(pod(), "10.244.1.2"), owners=(by("mid"),))
    store = stored(top(), config("mid", by("top"), uid="uid-mid"), web)
    settle(store)
    store.apply([Delete("ConfigMap", "default", "top")])
    settle(store)
    assert names(store) == []
    assert store.get(Pod, "default", "web-0").meta.deletion_s == 7.0


def ending(store: Store, *finalizers: str) -> None:
    """As the API server does with a deletion that has a propagation policy."""
    found = store.get(ConfigMap, "default", "top")
    store.apply([Update(with_meta(found, deletion_s=5.0, finalizers=finalizers))])


def test_orphans_stay() -> None:
    store = stored(top(), config("it", by("top")))
    ending(store, ORPHAN)
    settle(store)
    assert names(store) == ["it"]
    assert store.get(ConfigMap, "default", "it").meta.owners == ()


def test_an_owner_that_waits_goes_last() -> None:
    blocking = by("top", block_owner_deletion=True)
    web = with_meta(running(pod(), "10.244.1.2"), owners=(by("mid", block_owner_deletion=True),))
    store = stored(
        top(), config("mid", blocking, uid="uid-mid"), config("loose", by("top")), web
    )  # fmt: skip
    ending(store, FOREGROUND)
    settle(store)
    assert names(store) == ["mid", "top"]  # they wait for the pod, which ends gracefully
    assert store.get(Pod, "default", "web-0").meta.deletion_s == 7.0
    store.apply([Delete("Pod", "default", "web-0")])
    settle(store)
    assert names(store) == []


def test_an_owner_does_not_wait_for_what_does_not_block_it() -> None:
    store = stored(top(), with_meta(running(pod(), "10.244.1.2"), owners=(by("top"),)))
    ending(store, FOREGROUND)
    settle(store)
    assert names(store) == []


def test_somebodys_own_finalizer_is_waited_for() -> None:
    store = stored(top(), config("it", by("top"), finalizers=("example.com/hold",)))
    store.apply([Delete("ConfigMap", "default", "top")])
    settle(store)
    held = store.get(ConfigMap, "default", "it")
    assert held.meta.deletion_s == 7.0
    ending_top = garbage.reconcile(store.snapshot(), 8.0)
    assert ending_top == ([], None)


def test_what_it_remembers_changes_nothing() -> None:
    store = stored(top(), config("mid", by("top"), uid="uid-mid"), config("low", by("mid")))
    following = garbage.remembering()
    assert following(store.snapshot(), 1.0) == garbage.reconcile(store.snapshot(), 1.0)
    store.apply([Delete("ConfigMap", "default", "top")])
    for _ in range(3):
        said = following(store.snapshot(), 1.0)
        assert said == garbage.reconcile(store.snapshot(), 1.0)
        store.apply(said[0])
    assert names(store) == []


# Namespaces


def shop(*, ends: bool, finalizers: tuple[str, ...] = ("kubernetes",)) -> Namespace:
    rest = {"spec": {"finalizers": list(finalizers)}}
    return Namespace(ObjectMeta("default", deletion_s=5.0 if ends else None, rest=rest))


def test_a_namespace_goes_once_it_is_empty() -> None:
    store = stored(shop(ends=True), config("it"), running(pod(), "10.244.1.2"))
    settle(store)
    assert names(store) == []
    assert store.get(Pod, "default", "web-0").meta.deletion_s == 7.0
    assert len(store.list(Namespace)) == 1
    assert namespaces.reconcile(store.snapshot(), 7.0)[1] is not None  # it looks again
    store.apply([Delete("Pod", "default", "web-0")])
    settle(store)
    assert store.list(Namespace) == ()


def test_a_namespace_that_is_not_asked_to_go_stays() -> None:
    state = snapshot(shop(ends=False), config("it"))
    assert namespaces.reconcile(state, 7.0) == ([], None)


def test_a_namespace_that_somebody_holds_is_empty_and_stays() -> None:
    store = stored(shop(ends=True, finalizers=("kubernetes", "example.com/hold")), config("it"))
    settle(store)
    assert (names(store), len(store.list(Namespace))) == ([], 1)
