"""What a watch is told of the past."""

from __future__ import annotations

from testbed.apiserver.history import History
from testbed.model.objects import Node, ObjectMeta
from testbed.store import Change


def change(version: int) -> Change:
    return Change("MODIFIED", Node(ObjectMeta("n1", resource_version=version)), None, version)


def versions(changes: list[Change] | None) -> list[int] | None:
    return None if changes is None else [one.resource_version for one in changes]


def test_changes_after_a_version_are_all_there_or_it_is_too_long_ago() -> None:
    history = History(5, length=3)
    history.add(map(change, (6, 7, 8)))
    assert versions(history.after(5)) == [6, 7, 8]
    assert versions(history.after(7)) == [8]
    assert history.after(4) is None
    history.add([change(9)])
    assert history.after(5) is None
    assert versions(history.after(6)) == [7, 8, 9]


def test_a_change_that_comes_late_is_told_all_the_same() -> None:
    history = History(0)
    history.add([change(2)])
    position = history.position
    history.add([change(1)])
    assert versions(history.following(position)) == [1]
    assert history.following(history.position) == []


def test_who_is_too_slow_is_told_so() -> None:
    history = History(0, length=2)
    history.add(map(change, (1, 2, 3)))
    assert history.following(0) is None
    assert versions(history.following(1)) == [2, 3]
