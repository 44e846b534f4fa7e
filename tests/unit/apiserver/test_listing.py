"""Lists: pages, versions, and what they may be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.failure import ApiFailure
from testbed.apiserver.history import History
from testbed.apiserver.list_options import list_options
from testbed.apiserver.listing import Expired, Page, State, page
from testbed.apiserver.resources import of_kind
from testbed.model.documents import ConfigMap
from testbed.model.objects.metadata import ObjectMeta
from testbed.store import Create, Delete, Store, Update

MAPS = of_kind("ConfigMap")


class Maps:
    """A store of ConfigMaps, as a server sees it."""

    def __init__(self, *keys: tuple[str, str], length: int = 100) -> None:
        self.store = Store(lambda: 1.0)
        self.history = History(0, length)
        self.store.watch(lambda changes: [self.history.add(one) for one in changes] and None)
        self.add(*keys)

    def add(self, *keys: tuple[str, str]) -> None:
        for namespace, name in keys:
            labels = {"first": name[0]}
            self.store.apply([Create(ConfigMap(ObjectMeta(name, namespace, labels=labels)))])

    def remove(self, namespace: str, name: str) -> None:
        self.store.apply([Delete("ConfigMap", namespace, name)])

    def touch(self, namespace: str, name: str, **labels: str) -> None:
        self.store.apply([Update(ConfigMap(ObjectMeta(name, namespace, labels=labels)))])

    def state(self) -> State:
        snapshot = self.store.snapshot()
        table = snapshot.of(ConfigMap)
        return State(table, sorted(table), snapshot.resource_version, self.history)

    def page(self, namespace: str = "", **query: Any) -> Page:
        asked = {name.rstrip("_"): str(value) for name, value in query.items()}
        return page(self.state(), list_options(MAPS, namespace, asked))

    def pages(self, limit: int, **query: Any) -> Iterator[Page]:
        found = self.page(limit=limit, **query)
        yield found
        while found.token:
            found = self.page(limit=limit, continue_=found.token)
            yield found


def names(found: Page) -> list[str]:
    return [item.meta.name for item in found.items]


def test_a_list_is_in_the_order_of_names() -> None:
    maps = Maps(("b", "one"), ("a", "two"), ("a", "one"), ("ab", "x"))
    listed = [(item.meta.namespace, item.meta.name) for item in maps.page().items]
    assert listed == [("a", "one"), ("a", "two"), ("ab", "x"), ("b", "one")]
    assert names(maps.page("a")) == ["one", "two"]
    assert names(maps.page(labelSelector="first=x")) == ["x"]
    assert names(maps.page("b", fieldSelector="metadata.name=one")) == ["one"]
    assert names(maps.page("b", fieldSelector="metadata.name=two")) == []


def test_pages_say_how_many_are_left_where_nothing_is_selected() -> None:
    maps = Maps(*(("a", f"m{number}") for number in range(5)))
    assert [(names(one), one.remaining) for one in maps.pages(2)] == [
        (["m0", "m1"], 3),
        (["m2", "m3"], 1),
        (["m4"], None),
    ]
    assert maps.page(limit=2, labelSelector="first=m").remaining is None


def test_pages_are_of_one_version() -> None:
    maps = Maps(("a", "a"), ("a", "b"), ("a", "c"))
    first = maps.page(limit=1)
    maps.remove("a", "b")
    maps.touch("a", "c", first="c", later="yes")
    maps.add(("a", "aa"))
    rest = maps.page(continue_=first.token)
    assert names(rest) == ["b", "c"]
    assert rest.resource_version == first.resource_version
    assert dict(rest.items[1].meta.labels) == {"first": "c"}


def test_a_list_of_too_long_ago_can_be_gone_on_with_as_things_are() -> None:
    maps = Maps(("a", "a"), ("a", "b"), length=3)
    first = maps.page(limit=1)
    for value in "wxyz":
        maps.touch("a", "b", first=value)
    with pytest.raises(Expired) as caught:
        maps.page(continue_=first.token)
    status = caught.value.status()
    assert (status["code"], status["reason"]) == (410, "Expired")
    metadata = status["metadata"]
    assert isinstance(metadata, Mapping)
    rest = maps.page(continue_=metadata["continue"])
    assert (names(rest), rest.resource_version) == (["b"], maps.store.resource_version)


def test_a_version_can_be_asked_for() -> None:
    maps = Maps(("a", "a"), ("a", "b"))
    maps.remove("a", "a")
    assert names(maps.page(resourceVersion=2, resourceVersionMatch="Exact")) == ["a", "b"]
    assert names(maps.page(resourceVersion=2, limit=5)) == ["a", "b"]  # as it was before `Match`
    assert names(maps.page(resourceVersion=2, resourceVersionMatch="NotOlderThan")) == ["b"]
    assert names(maps.page(resourceVersion=2)) == ["b"]
    assert names(maps.page(resourceVersion=0)) == ["b"]


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ({"resourceVersion": 99}, 504, "Too large resource version: 99, current: 2"),
        ({"resourceVersion": "x"}, 400, "it is no number"),
        ({"limit": "-1"}, 400, "limit: Invalid value"),
        ({"continue": "nonsense"}, 400, "continue key is not valid"),
        ({"continue": "e30"}, 400, "continue key is not valid"),
        ({"continue": "x", "resourceVersion": 1}, 400, "not allowed when using continue"),
        ({"resourceVersionMatch": "Exact"}, 422, "forbidden unless resourceVersion is provided"),
        (
            {"resourceVersionMatch": "Exact", "resourceVersion": 0},
            422,
            'forbidden for resourceVersion "0"',
        ),
        (
            {"resourceVersionMatch": "Newest", "resourceVersion": 1},
            422,
            'supported values: "Exact", "NotOlderThan"',
        ),
        ({"sendInitialEvents": "true"}, 422, "sendInitialEvents is forbidden for list"),
        (
            {"watch": 1, "sendInitialEvents": "true"},
            422,
            "requires setting resourceVersionMatch to NotOlderThan",
        ),
        ({"watch": 1, "resourceVersionMatch": "Exact"}, 422, "forbidden for watch unless"),
    ],
)
def test_what_makes_no_sense_is_refused(query: dict[str, Any], code: int, says: str) -> None:
    maps = Maps(("a", "a"), ("a", "b"))
    with pytest.raises(ApiFailure) as caught:
        maps.page(**query)
    assert (caught.value.code, says in caught.value.message) == (code, True)


def test_an_exact_version_of_too_long_ago_is_gone() -> None:
    maps = Maps(*(("a", f"m{number}") for number in range(5)), length=2)
    with pytest.raises(ApiFailure, match="too old: 1") as caught:
        maps.page(resourceVersion=1, resourceVersionMatch="Exact")
    assert caught.value.code == 410


KEYS = st.tuples(st.sampled_from(["a", "a-b", "b"]), st.sampled_from(["x", "x.y", "y", "z-1"]))


@settings(deadline=None)
@given(st.sets(KEYS), st.integers(1, 4), st.lists(st.tuples(KEYS, st.integers(0, 3)), max_size=12))
def test_pages_together_are_the_list_whatever_happens_between_them(
    keys: set[tuple[str, str]], limit: int, writes: list[tuple[tuple[str, str], int]]
) -> None:
    maps = Maps(*sorted(keys))
    whole = maps.page().items
    found: list[Any] = []
    for one in maps.pages(limit):
        assert len(one.items) <= limit
        found += one.items
        for key, _ in writes[len(found) :]:
            there = key in maps.state().table
            maps.remove(*key) if there else maps.add(key)
    assert found == list(whole)
