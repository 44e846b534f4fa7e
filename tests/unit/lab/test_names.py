"""WHERE -> a node, an outside host or a pod."""

from __future__ import annotations

import pytest

from testbed.errors import NotFound
from testbed.lab.names import find
from testbed.model.containers import Container
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec
from testbed.store import Create, Snapshot, Store

MACHINES = {"n1": "node", "client": "host"}
SPEC = PodSpec((Container("main", "echo"),))


def snapshot() -> Snapshot:
    store = Store(lambda: 0.0)
    names = [("default", "web-0"), ("blue", "web-0"), ("blue", "api-0"), ("amber", "api-0")]
    store.apply(Create(Pod(ObjectMeta(name, space), SPEC)) for space, name in names)
    return store.snapshot()


@pytest.mark.parametrize(
    ("where", "kind", "name"),
    [
        ("n1", "node", "n1"),
        ("client", "host", "client"),
        ("web-0", "pod", "default/web-0"),
        ("blue/web-0", "pod", "blue/web-0"),
        ("api-0", "pod", "amber/api-0"),  # none in default: the first namespace by name
    ],
)
def test_a_place_is_found(where: str, kind: str, name: str) -> None:
    found = find(where, snapshot(), MACHINES)
    assert found[:2] == (kind, name)
    assert (found[2] is None) == (kind != "pod")


@pytest.mark.parametrize(
    ("where", "hint"),
    [
        ("web-1", "did you mean web-0"),
        ("clint", "did you mean client"),
        ("green/web-0", "did you mean web-0"),
        ("zzzz", "there is n1, client, web-0"),
    ],
)
def test_what_is_not_there_names_what_is(where: str, hint: str) -> None:
    with pytest.raises(NotFound) as raised:
        find(where, snapshot(), MACHINES)
    assert where in raised.value.message
    assert raised.value.hint.startswith(hint)


def test_a_long_list_is_cut() -> None:
    machines = {f"n{index}": "node" for index in range(20)}
    with pytest.raises(NotFound) as raised:
        find("zzzz", Store(lambda: 0.0).snapshot(), machines)
    assert raised.value.hint == "there is n0, n1, n2, n3, n4, n5, n6, n7, …"
