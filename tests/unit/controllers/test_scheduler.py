"""Where pods go: a table of clusters and pods, and kube-scheduler's words when none fits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from testbed.controllers.scheduler import reconcile
from testbed.model.objects import (
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodStatus,
    PreferredSchedulingTerm,
)
from testbed.store import Store

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
