"""Whatever the delays, nobody who hears late ever sees what never was of an object, or loses anything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.controllers.late_watch import LateWatch
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service
from testbed.store import Change, Create, Delete, Snapshot, Store, Update, Write


def service(name: str, ip: str = "") -> Service:
    return Service(ObjectMeta(name, "default"), cluster_ips=(ip,) if ip else ())


def late(*writes: Write) -> tuple[LateWatch, list[Change], Store]:
    """A watch that listed a store with service `a`, and the changes of some writes to it since."""
    store = Store(lambda: 0.0)
    store.apply([Create(service("a"))])
    view = LateWatch(store.snapshot())
    changes: list[Change] = []
    store.watch(changes.extend)
    for write in writes:
        store.apply([write])
    return view, changes, store


def services(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    return {item.meta.name: item.cluster_ips for item in snapshot.list(Service)}


def test_a_change_is_unknown_until_it_arrives() -> None:
    view, (change,), store = late(Create(service("b")))
    view.hold(change, 5.0)
    assert view.deliver(4.9) == ()
    assert (services(view.snapshot()), view.snapshot().resource_version) == ({"a": ()}, 1)
    assert view.deliver(5.0) == (change,)
    assert view.snapshot() == store.snapshot()
    assert view.due_s is None


def test_an_overtaken_change_does_not_take_back_the_later_one() -> None:
    view, (first, second), _ = late(
        Update(service("a", "10.0.0.1")), Update(service("a", "10.0.0.2"))
    )
    view.hold(first, 9.0)
    view.hold(second, 1.0)
    assert view.deliver(1.0) == (second,)
    known = view.snapshot()
    assert services(known) == {"a": ("10.0.0.2",)}
    assert known.resource_version == 1, "version 2 is still missing"
    assert view.deliver(9.0) == (first,)
    assert services(view.snapshot()) == {"a": ("10.0.0.2",)}
    assert view.snapshot().resource_version == 3


def test_what_was_deleted_does_not_come_back() -> None:
    view, (update, delete), _ = late(
        Update(service("a", "10.0.0.1")), Delete("Service", "default", "a")
    )
    view.hold(update, 9.0)
    view.hold(delete, 1.0)
    view.deliver(10.0)
    assert services(view.snapshot()) == {}


def test_snapshots_share_what_did_not_change_and_stay_as_they_were() -> None:
    view, (change,), _ = late(Create(Node(ObjectMeta("n1"))))
    before = view.snapshot()
    view.hold(change, 0.0)
    view.deliver()
    after = view.snapshot()
    assert after.tables["Service"] is before.tables["Service"]
    assert list(before.list(Node)) == []
    assert len(list(after.list(Node))) == 1


NAMES = st.sampled_from("abc")
STEPS = st.lists(st.tuples(st.sampled_from(["write", "delete"]), NAMES), max_size=12)


@given(STEPS, st.data())
def test_any_delays_end_at_the_stores_state(
    steps: list[tuple[str, str]], data: st.DataObject
) -> None:
    store = Store(lambda: 0.0)
    view = LateWatch(store.snapshot())
    held: list[Change] = []
    store.watch(held.extend)
    for number, (kind, name) in enumerate(steps):
        _step(store, kind, service(name, f"10.0.0.{number}"))
    for change in held:
        view.hold(change, data.draw(st.floats(0, 9)))
    versions = [view.snapshot().resource_version]
    arrived: list[Change] = []
    while view.due_s is not None:
        arrived += view.deliver(view.due_s)
        versions.append(view.snapshot().resource_version)
    assert sorted(versions) == versions
    assert sorted(arrived, key=lambda change: change.resource_version) == held
    assert view.snapshot().resource_version == store.resource_version
    assert services(view.snapshot()) == services(store.snapshot())


def _step(store: Store, kind: str, item: Service) -> None:
    """Create or update it, or delete it where it is there."""
    known = store.snapshot().get(Service, "default", item.meta.name)
    if kind == "write":
        store.apply([Update(item) if known else Create(item)])
    elif known:
        store.apply([Delete("Service", "default", item.meta.name)])
