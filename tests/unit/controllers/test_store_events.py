"""Which store events a transaction leads to."""

from __future__ import annotations

from dataclasses import replace

from testbed.controllers.store_events import store_events
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointSlice,
    TargetRef,
)
from testbed.model.objects.metadata import ObjectMeta, with_meta
from testbed.model.objects.pods import Pod
from testbed.store import Change, Create, Delete, Store, Update, Write

from .cluster import pod, running, stored

UNREADY = running(pod(), "10.244.1.2", ready=False)
READY = running(pod(), "10.244.1.2")


def rows(store: Store, *writes: Write) -> list[tuple[str, str, str]]:
    """(kind, object, reason or pod) of the events of one transaction."""
    return [
        (event.kind, event.object, event.detail.get("reason", event.detail.get("pod", "")))
        for event in store_events(store.apply(writes), 5)
    ]


def test_a_pod_becomes_ready_and_not_ready() -> None:
    store = stored(UNREADY)
    assert rows(store, Update(READY)) == [("pod-ready", "default/web-0", "")]
    assert rows(store, Update(UNREADY)) == [("pod-not-ready", "default/web-0", "not-ready")]


def test_other_changes_of_a_pod_are_no_news() -> None:
    store = stored(READY)
    assert rows(store, Update(with_meta(READY, labels={"app": "db"}))) == []


def test_a_graceful_deletion_is_known_at_the_write_that_asks_for_it() -> None:
    store = stored(READY)
    doomed = with_meta(READY, deletion_s=1.0)
    assert rows(store, Update(doomed)) == [("pod-not-ready", "default/web-0", "terminating")]
    assert rows(store, Delete("Pod", "default", "web-0")) == []


def test_a_forced_deletion_is_known_at_the_delete() -> None:
    gone = ("pod-not-ready", "default/web-0", "deleted")
    assert rows(stored(READY), Delete("Pod", "default", "web-0")) == [gone]


def test_an_event_carries_address_identity_node_and_version() -> None:
    store = stored(UNREADY)
    changes = store.apply([Update(READY)])
    (event,) = store_events(changes, 77)
    uid = store.get(Pod, "default", "web-0").meta.uid
    assert event.detail == {"pod_ip": "10.244.1.2", "pod_ips": ["10.244.1.2"], "uid": uid}
    assert (event.t_ns, event.source, event.node) == (77, "store", "n1")
    assert event.resource_version == changes[0].resource_version == 2


def endpoint(index: int, ready: bool = True) -> Endpoint:
    target = TargetRef("default", f"web-{index}", f"uid-{index}")
    return Endpoint((f"10.244.1.{index}",), ready=ready, node_name="n1", target=target)


def slice_of(*endpoints: Endpoint, name: str = "web-a") -> EndpointSlice:
    labels = {SERVICE_NAME_LABEL: "web"}
    return EndpointSlice(ObjectMeta(name, "default", labels=labels), endpoints)


WEB = "default/web"


def test_endpoints_are_offered_and_withdrawn() -> None:
    store = stored()
    both = slice_of(endpoint(1), endpoint(2))
    assert rows(store, Create(both)) == [
        ("endpoint-ready", WEB, "default/web-1"),
        ("endpoint-ready", WEB, "default/web-2"),
    ]
    one_unready = slice_of(endpoint(1, ready=False), endpoint(2))
    assert rows(store, Update(one_unready)) == [("endpoint-not-ready", WEB, "default/web-1")]
    assert rows(store, Update(slice_of(endpoint(2)))) == []
    assert rows(store, Update(slice_of())) == [("endpoint-not-ready", WEB, "default/web-2")]


def test_a_deleted_slice_withdraws_its_endpoints() -> None:
    store = stored(slice_of(endpoint(1)))
    gone = [("endpoint-not-ready", WEB, "default/web-1")]
    assert rows(store, Delete("EndpointSlice", "default", "web-a")) == gone


def test_an_endpoint_that_moves_between_slices_is_no_news() -> None:
    store = stored(slice_of(endpoint(1)), slice_of(name="web-b"))
    moved = slice_of(endpoint(1), name="web-b")
    assert rows(store, Update(slice_of()), Update(moved)) == []


def test_a_successor_with_the_same_address_is_news() -> None:
    store = stored(slice_of(endpoint(1)))
    successor = replace(endpoint(1), target=TargetRef("default", "web-1", "uid-9"))
    assert rows(store, Update(slice_of(successor))) == [
        ("endpoint-not-ready", WEB, "default/web-1"),
        ("endpoint-ready", WEB, "default/web-1"),
    ]


def test_nothing_of_other_kinds() -> None:
    store = stored()
    changes: tuple[Change, ...] = store.apply([])
    assert store_events(changes, 5) == []
