"""What a watch is told of the past."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.history import Histories, History, Told
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.store import Change, Create, Delete, Store, Update


def change(version: int, name: str = "n1") -> Change:
    return Change("MODIFIED", Node(ObjectMeta(name, resource_version=version)), None, version)


def history_of(since: int, *versions: int, length: int = 3) -> History:
    history = History(since, length)
    for version in versions:
        history.add(change(version))
    return history


def versions(told: list[Told] | None) -> list[int] | None:
    return None if told is None else [one.change.resource_version for one in told]


def test_changes_after_a_version_are_all_there_or_it_is_too_long_ago() -> None:
    history = history_of(5, 6, 7, 8)
    assert versions(history.after(5)) == [6, 7, 8]
    assert versions(history.after(7)) == [8]
    assert history.after(4) is None
    history.add(change(9))
    assert history.after(5) is None
    assert versions(history.after(6)) == [7, 8, 9]


def test_a_change_that_comes_late_is_told_all_the_same() -> None:
    history = history_of(5, 6)
    position = history.position
    history.add(change(8))
    history.add(change(7))
    assert versions(history.following(position)) == [8, 7]
    place = history.place_after(6)
    assert place is not None
    assert versions(history.following(place)) == [8, 7]


def test_a_watch_that_reads_too_slowly_has_lost_its_place() -> None:
    history = history_of(5, 6)
    position = history.position
    for version in (7, 8, 9, 10):
        history.add(change(version))
    assert history.following(position) is None
    assert versions(history.following(position + 1, at_most=2)) == [8, 9]


def test_kinds_forget_apart_from_each_other() -> None:
    histories = Histories(5, length=2)
    assert histories.add(map(change, (6, 7, 8, 9))) == {"Node"}
    assert histories.of("Node").after(6) is None
    assert versions(histories.of("Pod").after(5)) == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40), st.integers(0, 40))
def test_a_past_state_is_what_a_snapshot_of_then_holds(
    steps: list[tuple[int, bool]], when: int
) -> None:
    store = Store(lambda: 1.0)
    history = History(0, length=1000)
    store.watch(lambda changes: [history.add(one) for one in changes] and None)
    snapshots = [store.snapshot()]
    for number, removes in steps:
        name = f"n{number}"
        there = store.snapshot().get(Node, "", name)
        if there is None:
            store.apply([Create(Node(ObjectMeta(name)))])
        elif removes:
            store.apply([Delete("Node", "", name)])
        else:
            store.apply([Update(Node(ObjectMeta(name), ready=not there.ready))])
        snapshots.append(store.snapshot())
    then = snapshots[min(when, len(steps))]
    now = store.snapshot().tables.get("Node", {})
    assert history.as_of(now, then.resource_version) == dict(then.tables.get("Node", {}))
