"""The store: versions, conflicts, transactions, snapshots, watches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.errors import NotFound, TestbedError
from testbed.model.objects.endpoint_slices import SERVICE_NAME_LABEL, EndpointSlice
from testbed.model.objects.metadata import ObjectMeta, with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service
from testbed.store import AlreadyExists, Change, Conflict, Create, Delete, Store, Update, Write


def service(name: str, **fields: str) -> Service:
    return Service(ObjectMeta(name, "default"), **fields)  # type: ignore[arg-type]


def new_store(*objects: Service | Node) -> Store:
    store = Store(now_s=lambda: 42.0)
    store.apply([Create(item) for item in objects])
    return store


def test_create_stamps_uid_version_and_time() -> None:
    store = new_store(service("a"), service("b"))
    meta = store.get(Service, "default", "b").meta
    assert (meta.resource_version, meta.creation_s, bool(meta.uid)) == (2, 42.0, True)
    assert store.resource_version == 2


def test_equal_histories_give_equal_uids_and_a_recreation_another() -> None:
    first, second = new_store(service("a")), new_store(service("a"))
    uid = first.get(Service, "default", "a").meta.uid
    assert uid == second.get(Service, "default", "a").meta.uid
    first.apply([Delete("Service", "default", "a"), Create(service("a"))])
    assert first.get(Service, "default", "a").meta.uid != uid


def test_update_keeps_identity_and_moves_the_version() -> None:
    store = new_store(service("a"))
    before = store.get(Service, "default", "a")
    (change,) = store.apply([Update(service("a", type="NodePort"))])
    after = store.get(Service, "default", "a")
    assert (after.meta.uid, after.meta.creation_s) == (before.meta.uid, 42.0)
    assert after.meta.resource_version == change.resource_version == 2
    assert change == Change("MODIFIED", after, before, 2)


def test_an_update_that_changes_nothing_is_no_write() -> None:
    store = new_store(service("a"))
    assert store.apply([Update(store.get(Service, "default", "a"))]) == ()
    assert store.resource_version == 1


REFUSED: list[tuple[str, Write, type[TestbedError]]] = [
    ("creating what exists", Create(service("a")), AlreadyExists),
    ("updating what is not there", Update(service("x")), NotFound),
    ("deleting what is not there", Delete("Service", "default", "x"), NotFound),
    ("a kind that was never written", Delete("Pod", "default", "x"), NotFound),
    (
        "an update based on an old version",
        Update(with_meta(service("a", type="NodePort"), resource_version=7)),
        Conflict,
    ),
]


@pytest.mark.parametrize(("name", "write", "error"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_refused_write_leaves_nothing_of_its_transaction(
    name: str, write: Write, error: type[TestbedError]
) -> None:
    store = new_store(service("a"))
    before = store.snapshot()
    seen: list[tuple[Change, ...]] = []
    store.watch(seen.append)
    ahead: list[Write] = [
        Create(Node(ObjectMeta("n1"))),
        Create(service("b")),
        Update(service("b", type="NodePort")),
        Delete("Service", "default", "b"),
    ]
    with pytest.raises(error):
        store.apply([*ahead, write])
    assert store.resource_version == before.resource_version
    assert store.list(Service) == tuple(before.list(Service))
    assert store.list(Node) == ()
    assert seen == []


def test_rolling_back_puts_a_deleted_object_back() -> None:
    store = new_store(service("a"))
    with pytest.raises(NotFound):
        store.apply([Delete("Service", "default", "a"), Delete("Service", "default", "x")])
    assert store.get(Service, "default", "a").meta.resource_version == 1


def test_rolling_back_keeps_the_order_of_objects() -> None:
    store = new_store(service("a"), service("b"))
    with pytest.raises(NotFound):
        store.apply([Delete("Service", "default", "a"), Delete("Service", "default", "x")])
    assert [item.meta.name for item in store.list(Service)] == ["a", "b"]


def test_deleting_by_uid_spares_a_successor_and_minds_no_absence() -> None:
    store = new_store(service("a"))
    uid = store.get(Service, "default", "a").meta.uid
    assert store.apply([Delete("Service", "default", "a", "another")]) == ()
    (change,) = store.apply([Delete("Service", "default", "a", uid)])
    assert (change.type, change.resource_version) == ("DELETED", 2)
    assert store.apply([Delete("Service", "default", "a", uid)]) == ()


def test_a_snapshot_does_not_move() -> None:
    store = new_store(service("a"))
    before = store.snapshot()
    store.apply([Create(service("b")), Create(Node(ObjectMeta("n1")))])
    store.apply([Update(service("a", type="NodePort"))])
    assert [item.meta.name for item in before.list(Service)] == ["a"]
    assert before.get(Service, "default", "a") == replace(
        store.get(Service, "default", "a"),
        type="ClusterIP",
        meta=replace(store.get(Service, "default", "a").meta, resource_version=1),
    )
    assert before.get(Node, "", "n1") is None
    assert before.resource_version == 1


def test_snapshots_share_what_has_not_changed() -> None:
    store = new_store(service("a"), Node(ObjectMeta("n1")))
    before = store.snapshot()
    store.apply([Create(service("b"))])
    after = store.snapshot()
    assert after.tables["Node"] is before.tables["Node"]
    assert after.get(Service, "default", "a") is before.get(Service, "default", "a")


def test_listing_by_namespace() -> None:
    store = new_store(service("a"))
    store.apply([Create(Service(ObjectMeta("c", "other")))])
    names = [item.meta.name for item in store.list(Service, "other")]
    assert names == [item.meta.name for item in store.snapshot().list(Service, "other")] == ["c"]


def test_slices_are_found_by_their_service() -> None:
    store = new_store()
    for name in ("web-a", "web-b"):
        labels = {SERVICE_NAME_LABEL: "web"}
        store.apply([Create(EndpointSlice(ObjectMeta(name, "default", labels=labels)))])
    found = store.snapshot().slices_by_service()
    assert [item.meta.name for item in found["default", "web"]] == ["web-a", "web-b"]


def test_a_watcher_is_called_once_per_transaction_until_cancelled() -> None:
    store = new_store()
    seen: list[tuple[Change, ...]] = []
    cancel = store.watch(seen.append)
    store.apply([Create(service("a")), Create(service("b"))])
    cancel()
    cancel()
    store.apply([Create(service("c"))])
    assert [[change.object.meta.name for change in changes] for changes in seen] == [["a", "b"]]


def test_a_watcher_sees_the_state_after_the_transaction() -> None:
    store = new_store()
    seen: list[int] = []
    store.watch(lambda changes: seen.append(store.snapshot().resource_version))
    store.apply([Create(service("a")), Create(service("b"))])
    assert seen == [2]


def test_get_says_what_is_missing() -> None:
    with pytest.raises(NotFound, match="no Service default/x"):
        new_store().get(Service, "default", "x")
    with pytest.raises(NotFound, match="no Node n9"):
        new_store().get(Node, "", "n9")
