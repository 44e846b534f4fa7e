"""The objects that a server answers with."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.apiserver.feed import Feed
from testbed.apiserver.presented import Face
from testbed.model.documents import ConfigMap
from testbed.model.objects.metadata import ObjectMeta
from testbed.store import Create, Delete, Store

KEYS = st.tuples(st.sampled_from("abc"), st.sampled_from("vwxyz"))


@settings(deadline=None)
@given(st.lists(st.lists(KEYS, max_size=6), max_size=12))
def test_keys_are_in_order_whatever_has_come_and_gone(rounds: list[list[tuple[str, str]]]) -> None:
    store = Store(lambda: 1.0)
    feed = Feed(store, Face((), 0.0), derive=False)
    store.watch(lambda changes: feed.add(changes) and None)
    for keys in rounds:
        for namespace, name in keys:
            if store.snapshot().get(ConfigMap, namespace, name) is None:
                store.apply([Create(ConfigMap(ObjectMeta(name, namespace)))])
            else:
                store.apply([Delete("ConfigMap", namespace, name)])
        state = feed.state("ConfigMap")
        assert list(state.keys) == sorted(store.snapshot().of(ConfigMap))
        assert state.table == store.snapshot().of(ConfigMap)
        assert state.resource_version == store.resource_version


def test_many_changes_are_sorted_anew() -> None:
    store = Store(lambda: 1.0)
    feed = Feed(store, Face((), 0.0), derive=False)
    store.watch(lambda changes: feed.add(changes) and None)
    feed.state("ConfigMap")
    names = [f"m{number:04}" for number in range(1200)]
    store.apply([Create(ConfigMap(ObjectMeta(name, "shop"))) for name in reversed(names)])
    assert [name for _, name in feed.state("ConfigMap").keys] == names
