"""Where pods go: a table of clusters and pods, and kube-scheduler's words when none fits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.controllers.scheduler import reconcile, remembering
from testbed.model.containers import Container, ContainerPort
from testbed.model.documents import Namespace
from testbed.model.label_selector import LabelSelector
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import (
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodStatus,
    PreferredSchedulingTerm,
)
from testbed.model.scheduling import (
    NO_SCHEDULE,
    PREFER_NO_SCHEDULE,
    PodAffinity,
    PodAffinityTerm,
    Taint,
    Toleration,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from testbed.store import Create, Delete, Store

from .cluster import node, pod, running, snapshot, stored


def term(key: str, operator: str, *values: str) -> NodeSelectorTerm:
    return NodeSelectorTerm((NodeSelectorRequirement(key, operator, values),))


def required(*terms: NodeSelectorTerm) -> dict[str, Any]:
    return {"node_affinity": NodeAffinity(required=terms)}


NODES = (
    node("n1", {"zone": "a", "cores": "2"}),
    node("n2", {"zone": "b", "cores": "8", "ssd": ""}),
    node("n3", {"zone": "b", "cores": "many"}),
)
BUSY_N1 = running(pod("busy"), "10.244.1.2", "n1")

PLACEMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("the first by name among equals", {}, "n2"),  # n1 has a pod already
    ("nodeSelector outweighs the load", {"node_selector": {"zone": "a"}}, "n1"),
    ("In", required(term("zone", "In", "c", "a")), "n1"),
    ("NotIn", required(term("zone", "NotIn", "b")), "n1"),
    ("NotIn holds where the label is missing", required(term("ssd", "NotIn", "")), "n3"),
    ("Exists", required(term("ssd", "Exists")), "n2"),
    ("DoesNotExist", required(term("ssd", "DoesNotExist")), "n3"),
    ("Gt compares numbers and skips what is none", required(term("cores", "Gt", "2")), "n2"),
    ("Lt", required(term("cores", "Lt", "8")), "n1"),
    ("one of the required terms is enough",
     required(term("zone", "In", "x"), term("zone", "In", "a")), "n1"),
    ("an unknown operator matches nothing", required(term("zone", "Like", "a")), ""),
    ("an empty term matches nothing", required(NodeSelectorTerm()), ""),
    (
        "match_fields knows the node's name",
        required(
            NodeSelectorTerm(
                match_fields=(NodeSelectorRequirement("metadata.name", "In", ("n3",)),)
            )
        ),
        "n3",
    ),
    (
        "preferred weights outweigh the load",
        {
            "node_affinity": NodeAffinity(
                preferred=(
                    PreferredSchedulingTerm(10, term("zone", "In", "a")),
                    PreferredSchedulingTerm(4, term("zone", "In", "b")),
                    PreferredSchedulingTerm(5, term("ssd", "Exists")),
                )
            )
        },
        "n1",
    ),
    (
        "weights of several terms add up",
        {
            "node_affinity": NodeAffinity(
                preferred=(
                    PreferredSchedulingTerm(8, term("zone", "In", "a")),
                    PreferredSchedulingTerm(4, term("zone", "In", "b")),
                    PreferredSchedulingTerm(5, term("ssd", "Exists")),
                )
            )
        },
        "n2",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "spec", "expected"), PLACEMENTS, ids=[row[0] for row in PLACEMENTS]
)
def test_placement(name: str, spec: dict[str, Any], expected: str) -> None:
    store = stored(*NODES, BUSY_N1, pod("web-0", **spec))
    schedule(store)
    assert store.get(Pod, "default", "web-0").spec.node_name == expected


def schedule(store: Store) -> None:
    """Apply what the scheduler says; asked again it has nothing to add."""
    writes, wake_at_s = reconcile(store.snapshot(), 0.0)
    assert wake_at_s is None
    store.apply(writes)
    assert reconcile(store.snapshot(), 0.0) == ([], None)


def test_a_thousand_pods_are_spread_evenly_in_one_pass() -> None:
    nodes = [node(f"n{index:02}") for index in range(10)]
    store = stored(*nodes, *(pod(f"web-{index}") for index in range(1000)))
    schedule(store)
    load = Counter(found.spec.node_name for found in store.list(Pod))
    assert load == {found.meta.name: 100 for found in nodes}
    assert all(found.status.scheduled for found in store.list(Pod))


def test_pods_that_have_ended_do_not_count_as_load() -> None:
    ended = running(pod("done"), "10.244.1.2", "n1", phase="Succeeded")
    store = stored(node("n1"), node("n2"), ended, pod("web-0"))
    schedule(store)
    assert store.get(Pod, "default", "web-0").spec.node_name == "n1"


MESSAGES = [
    ("no node at all", (), "no nodes available to schedule pods"),
    (
        "every reason, counted",
        (node("n1", ready=False), node("n2", unschedulable=True), node("n3"), node("n4")),
        "0/4 nodes are available: 1 node(s) had untolerated taint "
        "{node.kubernetes.io/not-ready: }, 1 node(s) were unschedulable, "
        "2 node(s) didn't match Pod's node affinity/selector.",
    ),
]


@pytest.mark.parametrize(("name", "nodes", "message"), MESSAGES, ids=[row[0] for row in MESSAGES])
def test_unschedulable(name: str, nodes: tuple[Any, ...], message: str) -> None:
    store = stored(*nodes, pod("web-0", node_selector={"disk": "fast"}))
    schedule(store)
    status = store.get(Pod, "default", "web-0").status
    assert (status.reason, status.message, status.scheduled) == ("Unschedulable", message, False)


def test_a_node_that_becomes_fit_takes_the_pod_and_clears_its_reason() -> None:
    waiting = PodStatus(reason="Unschedulable", message="no nodes available to schedule pods")
    bare = pod("web-0")
    (write,), _ = reconcile(snapshot(node("n1"), Pod(bare.meta, bare.spec, waiting)), 0.0)
    bound = write.object  # type: ignore[union-attr]
    assert isinstance(bound, Pod)
    assert (bound.spec.node_name, bound.status.reason, bound.status.message) == ("n1", "", "")


def around(name: str, **nodes: str) -> tuple[Any, ...]:
    """Pods that run: name and node, all labelled app=<name>."""
    return tuple(
        running(pod(f"{name}-{index}", {"app": name}), f"10.244.0.{index + 1}", where)
        for index, where in enumerate(nodes.values())
    )


def host_port(number: int, address: str = "", protocol: str = "TCP") -> Container:
    port = ContainerPort(8080, "", protocol, host_port=number, host_ip=address)
    return Container("echo", "testbed/echo", (port,))


def near(app: str, key: str = "zone", **more: Any) -> PodAffinity:
    return PodAffinity((PodAffinityTerm(key, LabelSelector({"app": app}), **more),))


def rather_near(app: str, key: str = "zone") -> PodAffinity:
    term = PodAffinityTerm(key, LabelSelector({"app": app}))
    return PodAffinity((), (WeightedPodAffinityTerm(50, term),))


def spread(how: str = "DoNotSchedule", **more: Any) -> dict[str, Any]:
    constraint = {"max_skew": 1, "topology_key": "zone", "when_unsatisfiable": how}
    selector = LabelSelector({"app": "web"})
    return {
        "topology_spread": (
            TopologySpreadConstraint(**{**constraint, "label_selector": selector, **more}),
        )
    }


TAINTED = node("n1", taints=(Taint("gpu", NO_SCHEDULE, "yes"),))
ZONED = (node("n1", {"zone": "a"}), node("n2", {"zone": "b"}), node("n3", {"zone": "b"}))
DB_ON_N1 = around("db", on="n1")
DB_ON_N2 = around("db", on="n2")
NO_PORTS = "node(s) didn't have free ports for the requested pod ports"

WHERE: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    # objects, the pod's spec, its node; or why none, of the nodes that could have it but for that
    ("a taint keeps it off", (TAINTED, node("n2")), {}, "n2"),
    ("a tolerated taint does not", (TAINTED,), {"tolerations": (Toleration("gpu", "Equal", "yes"),)}, "n1"),
    ("another value is not tolerated", (TAINTED,),
     {"tolerations": (Toleration("gpu", "Equal", "no"),)},
     "1 node(s) had untolerated taint {gpu: yes}"),
    ("a taint that only asks", (node("n1", taints=(Taint("old", PREFER_NO_SCHEDULE),)), node("n2"),
     *around("db", on="n2")), {}, "n2"),
    ("only such nodes", (node("n1", taints=(Taint("old", PREFER_NO_SCHEDULE),)),), {}, "n1"),
    ("cordoned, and tolerated", (node("n1", unschedulable=True),),
     {"tolerations": (Toleration(operator="Exists"),)}, "n1"),
    ("a free host port", (node("n1"), node("n2"),
     running(pod("a", containers=(host_port(80),)), "10.244.1.1", "n1")),
     {"containers": (host_port(80),)}, "n2"),
    ("a host port in use", (node("n1"), running(pod("a", containers=(host_port(80),)), "10.244.1.1", "n1")),
     {"containers": (host_port(80, "192.0.2.1"),)}, f"1 {NO_PORTS}"),
    ("another address", (node("n1"),
     running(pod("a", containers=(host_port(80, "192.0.2.2"),)), "10.244.1.1", "n1")),
     {"containers": (host_port(80, "192.0.2.1"),)}, "n1"),
    ("another protocol", (node("n1"), running(pod("a", containers=(host_port(80),)), "10.244.1.1", "n1")),
     {"containers": (host_port(80, "", "UDP"),)}, "n1"),
    ("ports of the host's network", (node("n1"), node("n2"),
     running(pod("a", host_network=True), "10.244.1.1", "n1")), {"host_network": True}, "n2"),
    ("near the database", (*ZONED, *DB_ON_N2), {"pod_affinity": near("db")}, "n3"),
    ("near what is not there", ZONED, {"pod_affinity": near("db")},
     "3 node(s) didn't match pod affinity rules"),
    ("near its own kind, the first of it", ZONED, {"pod_affinity": near("web")}, "n1"),
    ("near a database elsewhere", (*ZONED, *DB_ON_N2),
     {"pod_affinity": near("db", namespaces=("other",))}, "3 node(s) didn't match pod affinity rules"),
    ("away from the database", (*ZONED, *DB_ON_N2), {"pod_anti_affinity": near("db")}, "n1"),
    ("away from everybody", (*ZONED, *around("db", on="n1", also="n2")),
     {"pod_anti_affinity": near("db")}, "3 node(s) didn't match pod anti-affinity rules"),
    ("rather near", (*ZONED, *DB_ON_N2, *around("x", on="n3")), {"pod_affinity": rather_near("db")}, "n2"),
    ("rather away", (*ZONED, *DB_ON_N1), {"pod_anti_affinity": rather_near("db")}, "n2"),
    ("kept away by another", (node("n1", {"zone": "a"}),
     running(pod("db", {"app": "db"}, pod_anti_affinity=near("web")), "10.244.1.1", "n1")), {},
     "1 node(s) didn't satisfy existing pods anti-affinity rules"),
    ("spread over zones", (*ZONED, *around("web", on="n1")), spread(), "n2"),
    ("spread, though that zone is fuller", (*ZONED, *around("web", on="n1"), *around("x", a="n2", b="n3")),
     spread(), "n2"),
    ("no zone may have more", (*ZONED, *around("web", on="n1")),
     {**spread(), "node_selector": {"zone": "a"}}, "n1"),  # the other zones do not count: no node there
    ("no zone may have more, wherever it may run",
     (*ZONED, *around("web", on="n1")),
     {**spread(node_affinity_policy="Ignore"), "node_selector": {"zone": "a"}},
     "1 node(s) didn't match pod topology spread constraints, "
     "2 node(s) didn't match Pod's node affinity/selector"),
    ("a node in no zone", (node("n1"),), spread(),
     "1 node(s) didn't match pod topology spread constraints (missing required label)"),
    ("too few zones", (node("n1", {"zone": "a"}), *around("web", on="n1")), spread(min_domains=2),
     "1 node(s) didn't match pod topology spread constraints"),
    ("rather spread", (*ZONED, *around("web", on="n1"), *around("x", a="n2", b="n2", c="n3", d="n3")),
     spread("ScheduleAnyway"), "n2"),
    ("pods of another name do not count", (*ZONED, *around("web", on="n1")),
     spread(label_selector=LabelSelector({"app": "other"})), "n2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "objects", "spec", "expected"), WHERE, ids=[row[0] for row in WHERE]
)
def test_taints_ports_neighbours_and_spread(
    name: str, objects: tuple[Any, ...], spec: dict[str, Any], expected: str
) -> None:
    store = stored(*objects, pod("new", {"app": "web"}, **spec))
    schedule(store)
    found = store.get(Pod, "default", "new")
    if found.spec.node_name:
        assert found.spec.node_name == expected
    else:
        count = sum(1 for item in objects if item.kind == "Node")
        assert found.status.message == f"0/{count} nodes are available: {expected}."


def test_an_affinity_to_pods_of_namespaces_by_their_labels() -> None:
    shop = Namespace(ObjectMeta("shop", labels={"team": "a"}))
    there = running(pod("db", {"app": "db"}), "10.244.1.1", "n2")
    there = Pod(ObjectMeta("db", "shop", labels={"app": "db"}), there.spec, there.status)
    affinity = near("db", namespace_selector=LabelSelector({"team": "a"}))
    store = stored(*ZONED, shop, there, pod("new", pod_affinity=affinity))
    schedule(store)
    assert store.get(Pod, "default", "new").spec.node_name == "n3"


def test_pods_of_one_pass_are_spread_from_each_other() -> None:
    store = stored(*ZONED, *(pod(f"web-{index}", **spread()) for index in range(6)))
    schedule(store)
    zones = Counter("a" if found.spec.node_name == "n1" else "b" for found in store.list(Pod))
    assert zones == {"a": 3, "b": 3}


def test_one_pod_per_node_by_anti_affinity() -> None:
    alone = near("web", "kubernetes.io/hostname")
    nodes = [node(f"n{index}", {"kubernetes.io/hostname": f"n{index}"}) for index in range(3)]
    store = stored(*nodes, *(pod(f"web-{index}", pod_anti_affinity=alone) for index in range(4)))
    schedule(store)
    placed = [found.spec.node_name for found in store.list(Pod)]
    assert sorted(placed) == ["", "n0", "n1", "n2"]


def test_gates_hold_a_pod_back() -> None:
    store = stored(node("n1"), pod("web-0", scheduling_gates=("example.com/wait",)))
    schedule(store)
    found = store.get(Pod, "default", "web-0")
    assert (found.spec.node_name, found.status.reason) == ("", "SchedulingGated")


def test_a_pod_of_another_scheduler_is_left_to_it() -> None:
    bare = pod("web-0")
    own = Pod(ObjectMeta("web-0", "default", rest={"spec": {"schedulerName": "mine"}}), bare.spec)
    assert reconcile(snapshot(node("n1"), own), 0.0) == ([], None)


def test_a_scheduler_that_remembers_says_the_same() -> None:
    store, following = stored(node("n1"), node("n2")), remembering()
    for index in range(9):
        store.apply([Create(pod(f"web-{index}"))])
        if index % 3 == 2:
            store.apply([Delete("Pod", "default", f"web-{index - 1}")])
        said = following(store.snapshot(), 0.0)
        assert said == reconcile(store.snapshot(), 0.0)
        store.apply(said[0])


@settings(max_examples=60, deadline=None)
@given(
    zones=st.lists(st.sampled_from("abc"), min_size=1, max_size=6),
    max_skew=st.integers(1, 3),
    count=st.integers(0, 12),
    lost=st.sets(st.integers(0, 11)),
)
def test_pods_are_never_spread_worse_than_allowed(
    zones: list[str], max_skew: int, count: int, lost: set[int]
) -> None:
    nodes = [node(f"n{index}", {"zone": zone}) for index, zone in enumerate(zones)]
    pods = [pod(f"web-{index}", **spread(max_skew=max_skew)) for index in range(count)]
    store = stored(*nodes, *pods)
    schedule(store)
    per_zone = Counter(zones[int(found.spec.node_name[1:])] for found in store.list(Pod))
    assert sum(per_zone.values()) == count  # there is always a zone with the fewest
    sizes = [per_zone[zone] for zone in set(zones)]
    assert max(sizes) - min(sizes) <= max_skew
    gone = [found.meta.name for index, found in enumerate(store.list(Pod)) if index in lost]
    store.apply([Delete("Pod", "default", name) for name in gone])
    store.apply([Create(pod(f"new-{name}", **spread(max_skew=max_skew))) for name in gone])
    schedule(store)
    assert all(found.spec.node_name for found in store.list(Pod))
