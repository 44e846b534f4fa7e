"""Sticky addresses: whose a new pod takes over."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from testbed.model.objects.metadata import Object, ObjectMeta, OwnerReference
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.workloads import Deployment, ReplicaSet
from testbed.podnet.inheritance import Lease, away, inherited, is_orphaned, workload_of
from testbed.store import Create, Snapshot, Store

WEB = ("Deployment", "default", "web")


def owned(name: str, uid: str = "", owner: str = "Deployment/web") -> Pod:
    kind, _, by = owner.partition("/")
    owners = (OwnerReference(kind, by, "u", controller=True),) if owner else ()
    return Pod(ObjectMeta(name, "default", uid=uid, owners=owners), PodSpec(()))


def lease(name: str, address: str = "10.244.1.2", **changes: object) -> Lease:
    plain = Lease(f"u-{name}", "default", name, WEB, (ip_address(address),), "n1", "n1")
    return replace(plain, **changes)  # type: ignore[arg-type]


def state(*items: Object) -> Snapshot:
    store = Store(lambda: 0.0)
    store.apply([Create(item) for item in items])
    return store.snapshot()


ENDED = PodStatus(phase="Failed")
LEASES = [
    ("of a pod that is gone", "web-0", [lease("web-0")], "web-0"),
    ("the one of its own name first", "web-1", [lease("web-0"), lease("web-1")], "web-1"),
    ("else the first by name", "web-9", [lease("web-1"), lease("web-0")], "web-0"),
    ("never another workload's", "web-0", [lease("web-0", workload=("Pod", "", "x"))], None),
    ("its own after a reboot", "web-0", [lease("web-0"), lease("web-1", uid="me")], "web-1"),
    ("nobody's where there is none", "web-0", [], None),
]


@pytest.mark.parametrize(("_", "name", "leases", "whose"), LEASES, ids=[row[0] for row in LEASES])
def test_a_new_pod_takes_over(_: str, name: str, leases: list[Lease], whose: str | None) -> None:
    found = inherited(owned(name, uid="me"), leases, state())
    assert (found.name if found else None) == whose


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, False),
        ({"meta": replace(owned("web-0").meta, deletion_s=3.0)}, True),
        ({"status": ENDED}, True),
    ],
    ids=["one that stays keeps its address", "a terminating one has an heir", "an evicted one too"],
)
def test_who_still_needs_an_address(changes: dict[str, object], free: bool) -> None:
    store = Store(lambda: 0.0)
    store.apply([Create(replace(owned("web-0"), **changes))])  # type: ignore[arg-type]
    (pod,) = store.list(Pod)
    mine = lease("web-0", uid=pod.meta.uid)
    found = inherited(owned("web-1", uid="me"), [mine], store.snapshot())
    assert (found == mine) is free


def test_another_pod_of_the_name_is_not_the_one_that_had_the_address() -> None:
    snapshot = state(owned("web-0"))
    assert inherited(owned("web-1", uid="me"), [lease("web-0")], snapshot) is not None


def test_replica_sets_stand_for_their_deployment() -> None:
    above = OwnerReference("Deployment", "web", "u", controller=True)
    made = ReplicaSet(ObjectMeta("web-abc", "default", owners=(above,)), 1, None, None)  # type: ignore[arg-type]
    assert workload_of(owned("web-abc-1", owner="ReplicaSet/web-abc"), state(made)) == WEB
    lonely = workload_of(owned("x-1", owner="ReplicaSet/x"), state())
    assert lonely == ("ReplicaSet", "default", "x")
    assert workload_of(owned("solo", owner=""), state()) == ("Pod", "default", "solo")


def test_addresses_of_a_workload_that_is_gone_are_nobodys() -> None:
    web = Deployment(ObjectMeta("web", "default"), 1, None, None)  # type: ignore[arg-type]
    assert not is_orphaned(lease("web-0"), state(web))
    assert is_orphaned(lease("web-0"), state())
    assert not is_orphaned(lease("solo", workload=("Pod", "default", "solo")), state())


def test_who_is_away_is_known_with_all_its_addresses() -> None:
    both = lease("web-1", node="n2", addresses=(ip_address("10.244.1.3"), ip_address("fd01::3")))
    assert away([lease("web-0"), both]) == dict.fromkeys(both.addresses, "n2")
