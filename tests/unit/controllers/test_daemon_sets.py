"""DaemonSets: a pod a node, which nodes, and how a changed template replaces them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from testbed.controllers import daemon_sets, garbage, scheduler
from testbed.controllers.daemon_nodes import pinned_node
from testbed.model.label_selector import LabelSelector
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.objects.workloads import DaemonSet, PodTemplate, RollingUpdate, UpdateStrategy
from testbed.model.scheduling import NO_EXECUTE, NO_SCHEDULE, Taint, Toleration
from testbed.store import Create, Delete, Store, Update

from .cluster import ECHO, node, stored
from .converging import converge, failed, start_bound

ALL = (daemon_sets.reconcile, scheduler.reconcile, garbage.reconcile)
LABELS = {"app": "agent"}


def daemon_set(**fields: Any) -> DaemonSet:
    spec = PodSpec((ECHO,), **fields.pop("spec", {}))
    meta = ObjectMeta("agent", "default")
    return DaemonSet(meta, LabelSelector(LABELS), PodTemplate(LABELS, spec), **fields)


def settle(store: Store) -> None:
    converge(store, ALL, between=start_bound)


def where(store: Store) -> list[str]:
    return sorted(found.spec.node_name for found in store.list(Pod))


def three(**fields: Any) -> Store:
    store = stored(node("n1"), node("n2"), node("n3"), daemon_set(**fields))
    settle(store)
    return store


def test_every_node_has_one_whose_status_counts_it() -> None:
    store = three()
    assert where(store) == ["n1", "n2", "n3"]
    status = store.get(DaemonSet, "default", "agent").status
    assert (status.desired_number_scheduled, status.number_available) == (3, 3)
    assert (status.updated_number_scheduled, status.number_unavailable) == (3, 0)
    assert (status.observed_generation, status.number_misscheduled) == (1, 0)


NODES: list[tuple[str, Node, dict[str, Any], bool]] = [
    ("any", node("n1"), {}, True),
    ("another label", node("n1"), {"node_selector": {"disk": "ssd"}}, False),
    ("the label", node("n1", {"disk": "ssd"}), {"node_selector": {"disk": "ssd"}}, True),
    ("cordoned: daemons bear that", node("n1", unschedulable=True), {}, True),
    ("tainted", node("n1", taints=(Taint("gpu", NO_SCHEDULE),)), {}, False),
    ("tainted, tolerated", node("n1", taints=(Taint("gpu", NO_SCHEDULE),)),
     {"tolerations": (Toleration("gpu", "Exists"),)}, True),
    ("unreachable: daemons bear that",
     node("n1", taints=(Taint("node.kubernetes.io/unreachable", NO_EXECUTE),)), {}, True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "found", "spec", "runs"), NODES, ids=[row[0] for row in NODES])
def test_which_nodes_have_one(name: str, found: Node, spec: dict[str, Any], *, runs: bool) -> None:
    store = stored(found, daemon_set(spec=spec))
    settle(store)
    assert where(store) == (["n1"] if runs else [])


def test_nodes_come_and_go_and_change() -> None:
    store = three()
    store.apply([Create(node("n4"))])
    settle(store)
    assert where(store) == ["n1", "n2", "n3", "n4"]
    tainted = replace(store.get(Node, "", "n2"), taints=(Taint("full", NO_SCHEDULE),))
    store.apply([Update(tainted)])
    settle(store)
    assert where(store) == ["n1", "n2", "n3", "n4"]  # one that is there may stay
    assert store.get(DaemonSet, "default", "agent").status.number_misscheduled == 1
    store.apply([Update(replace(store.get(Node, "", "n2"), taints=(Taint("full", NO_EXECUTE),)))])
    settle(store)
    assert where(store) == ["n1", "n3", "n4"]


def test_a_pod_that_fails_or_goes_is_replaced_on_its_node() -> None:
    store = three()
    first, second, _ = store.list(Pod)
    store.apply([failed(first), Delete("Pod", "default", second.meta.name)])
    settle(store)
    assert where(store) == ["n1", "n2", "n3"]
    assert all(found.status.ready for found in store.list(Pod))


def test_its_pods_go_with_it() -> None:
    store = three()
    store.apply([Delete("DaemonSet", "default", "agent")])
    settle(store)
    assert store.list(Pod) == ()


UPDATES = [
    # strategy, the least pods that are ready meanwhile, the most on one node
    ("one after another", RollingUpdate(0, 1), 2, 1),
    ("two at a time", RollingUpdate(0, 2), 1, 1),
    ("a share", RollingUpdate(0, "100%"), 0, 1),
    ("the new one first", RollingUpdate(1, 0), 3, 2),
]


@pytest.mark.parametrize(
    ("name", "how", "ready", "crowd"), UPDATES, ids=[row[0] for row in UPDATES]
)
def test_a_changed_template_replaces_node_by_node(
    name: str, how: RollingUpdate, ready: int, crowd: int
) -> None:
    store = three(strategy=UpdateStrategy("RollingUpdate", how))
    change_template(store)

    def watched(store: Store) -> None:
        alive = [found for found in store.list(Pod) if found.meta.deletion_s is None]
        assert sum(found.status.ready for found in alive) >= ready
        assert max(Counter(pinned_node(found.spec) for found in alive).values(), default=0) <= crowd
        start_bound(store)

    converge(store, ALL, between=watched)
    assert where(store) == ["n1", "n2", "n3"]
    assert {found.spec.restart_policy for found in store.list(Pod)} == {"OnFailure"}
    assert store.get(DaemonSet, "default", "agent").status.updated_number_scheduled == 3


def change_template(store: Store) -> None:
    found = store.get(DaemonSet, "default", "agent")
    spec = replace(found.template.spec, restart_policy="OnFailure")
    store.apply([Update(replace(found, template=replace(found.template, spec=spec)))])


def test_on_delete_waits_for_somebody_to_delete() -> None:
    store = three(strategy=UpdateStrategy("OnDelete"))
    change_template(store)
    settle(store)
    assert {found.spec.restart_policy for found in store.list(Pod)} == {"Always"}
    store.apply([Delete("Pod", "default", store.list(Pod)[0].meta.name)])
    settle(store)
    policies = sorted(found.spec.restart_policy for found in store.list(Pod))
    assert policies == ["Always", "Always", "OnFailure"]
