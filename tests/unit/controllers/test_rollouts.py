"""Rollouts in whatever order things happen: what never goes wrong meanwhile, and where it all ends; then what a
Deployment says of itself on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.controllers import deployments, replica_sets
from testbed.controllers.deletion_order import DELETION_COST_ANNOTATION
from testbed.controllers.deployment_numbers import bounds
from testbed.controllers.deployment_revisions import (
    HISTORY_ANNOTATION,
    REVISION_ANNOTATION,
    revision,
)
from testbed.controllers.fresh_writes import apply_fresh
from testbed.model.label_selector import LabelSelector
from testbed.model.objects.metadata import with_meta
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import (
    TEMPLATE_HASH_LABEL,
    Deployment,
    ReplicaSet,
    RollingUpdate,
    UpdateStrategy,
)
from testbed.store import Create, Delete, Store, Update

from .cluster import deployment, pod, running, stored
from .converging import converge, failed, start_all

SHARES = st.integers(0, 4) | st.integers(0, 100).map("{}%".format)
TEMPLATES = st.sampled_from(["a", "b", "c"])
OPERATIONS = st.one_of(
    st.tuples(st.just("template"), TEMPLATES),
    st.tuples(st.just("replicas"), st.integers(0, 9)),
    st.tuples(st.just("paused"), st.booleans()),
    st.tuples(st.just("fail"), st.integers(0, 20)),
    st.tuples(st.just("delete"), st.integers(0, 20)),
)


def web(store: Store) -> Deployment:
    return store.get(Deployment, "default", "web")


def change(store: Store, **fields: Any) -> None:
    store.apply([Update(replace(web(store), **fields))])


def with_template(store: Store, letter: str) -> None:
    """Another template: annotated otherwise."""
    change(store, template=replace(web(store).template, annotations={"version": letter}))


def of_version(store: Store) -> list[str]:
    return sorted(found.meta.annotations.get("version", "") for found in active(store))


def active(store: Store) -> list[Pod]:
    return [found for found in store.list(Pod) if found.meta.deletion_s is None]


def operate(store: Store, what: str, value: Any) -> None:
    if what == "template":
        with_template(store, value)
    elif what in ("replicas", "paused"):
        change(store, **{what: value})
    elif pods := store.list(Pod):
        found = pods[value % len(pods)]
        name = found.meta.name
        store.apply([failed(found) if what == "fail" else Delete("Pod", "default", name)])


def some_start(store: Store, data: st.DataObject) -> None:
    """Some of the pods that wait become ready; those that terminate go."""
    for found in store.list(Pod):
        if found.meta.deletion_s is not None:
            store.apply([Delete("Pod", "default", found.meta.name)])
        elif found.status.phase == "Pending" and data.draw(st.booleans()):
            store.apply([Update(running(found, "10.244.1.2"))])


@settings(max_examples=80, deadline=None)
@given(
    replicas=st.integers(1, 8),
    surge=SHARES,
    unavailable=SHARES,
    templates=st.lists(TEMPLATES, min_size=1, max_size=3),
    data=st.data(),
)
def test_a_rollout_keeps_to_its_bounds_whoever_acts_when(
    replicas: int,
    surge: int | str,
    unavailable: int | str,
    templates: list[str],
    data: st.DataObject,
) -> None:
    strategy = UpdateStrategy("RollingUpdate", RollingUpdate(surge, unavailable))
    store = stored(replace(deployment("web", replicas), strategy=strategy))
    converge(store, between=start_all)
    limits = bounds(web(store))
    both = (deployments.remembering(), replica_sets.remembering())
    for letter in templates:
        with_template(store, letter)
        for _ in range(data.draw(st.integers(1, 12))):
            reconcile = data.draw(st.sampled_from(both))
            apply_fresh(store, reconcile(store.snapshot(), 7.0)[0])
            pods = active(store)
            assert sum(found.status.ready for found in pods) >= replicas - limits.unavailable
            assert len(pods) <= replicas + limits.surge
            some_start(store, data)
    converge(store, between=start_all)
    assert of_version(store) == [templates[-1]] * replicas


@settings(max_examples=80, deadline=None)
@given(
    strategy=st.sampled_from(
        [
            UpdateStrategy(),
            UpdateStrategy("Recreate"),
            UpdateStrategy("RollingUpdate", RollingUpdate(0, 1)),
        ]
    ),
    operations=st.lists(OPERATIONS, max_size=8),
    data=st.data(),
)
def test_every_story_ends_well(
    strategy: UpdateStrategy, operations: list[tuple[str, Any]], data: st.DataObject
) -> None:
    first = replace(deployment("web", 3), strategy=strategy, revision_history_limit=2)
    store = stored(first)
    with_template(store, "a")
    pairs = [
        (controller.remembering(), controller.reconcile)
        for controller in (deployments, replica_sets)
    ]
    for what, value in operations:
        operate(store, what, value)
        for _ in range(data.draw(st.integers(0, 5))):
            remembering, fresh = data.draw(st.sampled_from(pairs))
            said = remembering(store.snapshot(), 7.0)
            assert said == fresh(store.snapshot(), 7.0)  # memory saves work, and changes nothing
            apply_fresh(store, said[0])
            some_start(store, data)
    change(store, paused=False)
    converge(store, between=start_all)
    wanted = web(store)
    versions = {found.template.annotations.get("version") for found in [wanted]}
    assert len(active_and_well(store)) == wanted.replicas
    assert set(of_version_well(store)) <= versions
    assert is_told_complete(wanted)
    assert len(store.list(ReplicaSet)) <= 1 + wanted.revision_history_limit


def active_and_well(store: Store) -> list[Pod]:
    return [found for found in active(store) if found.status.phase == "Running"]


def of_version_well(store: Store) -> list[str]:
    return [found.meta.annotations["version"] for found in active_and_well(store)]


def is_told_complete(found: Deployment) -> bool:
    """As `kubectl rollout status` decides it."""
    status, want = found.status, found.replicas
    return (
        status.observed_generation >= found.meta.generation
        and (status.updated_replicas, status.replicas, status.available_replicas)
        == (want, want, want)
        and condition(found, "Progressing") == ("True", "NewReplicaSetAvailable")
    )


def condition(found: Deployment, kind: str) -> tuple[str, str]:
    one = next(item for item in found.status.conditions if item.type == kind)
    return one.status, one.reason


def rolled(replicas: int = 3, **fields: Any) -> Store:
    """A Deployment `web` with one revision, all of whose pods serve."""
    store = stored(replace(deployment("web", replicas), **fields))
    with_template(store, "a")
    converge(store, between=start_all)
    return store


# Revisions


def history(store: Store) -> dict[str, int]:
    """Version of the template -> its revision."""
    return {item.template.annotations["version"]: revision(item) for item in store.list(ReplicaSet)}


def test_revisions_count_and_an_undone_one_becomes_the_newest() -> None:
    store = rolled()
    for letter in "ba":
        with_template(store, letter)
        converge(store, between=start_all)
    assert history(store) == {"a": 3, "b": 2}
    back = next(item for item in store.list(ReplicaSet) if revision(item) == 3)
    assert back.meta.annotations[HISTORY_ANNOTATION] == "1"
    assert web(store).meta.annotations[REVISION_ANNOTATION] == "3"
    assert of_version(store) == ["a", "a", "a"]


def test_the_history_has_its_limit() -> None:
    store = rolled(revision_history_limit=1)
    for letter in "bcd":
        with_template(store, letter)
        converge(store, between=start_all)
    assert history(store) == {"c": 3, "d": 4}


def test_what_a_replica_set_takes_over() -> None:
    store = rolled(min_ready_s=0.0)
    (only,) = store.list(ReplicaSet)
    template_hash = only.meta.labels[TEMPLATE_HASH_LABEL]
    assert only.meta.name == f"web-{template_hash}"
    assert only.selector.match_labels == {"app": "web", TEMPLATE_HASH_LABEL: template_hash}
    store.apply([Update(with_meta(web(store), annotations={"kubernetes.io/change-cause": "why"}))])
    change(store, min_ready_s=5.0)
    converge(store, between=start_all)
    (after,) = store.list(ReplicaSet)
    assert (after.meta.annotations["kubernetes.io/change-cause"], after.min_ready_s) == ("why", 5.0)


def test_a_name_that_is_taken_is_a_collision() -> None:
    store = rolled(1)
    (only,) = store.list(ReplicaSet)
    other = stored(replace(deployment("web", 1)))
    stranger = replace(
        only,
        meta=replace(only.meta, owners=(), labels={}, uid="", resource_version=0),
        selector=LabelSelector({"app": "stranger"}),
        template=replace(only.template, labels={"app": "stranger"}),
        replicas=0,
    )
    other.apply([Create(stranger)])
    with_template(other, "a")
    converge(other, between=start_all)
    assert web(other).status.collision_count == 1
    assert len(other.list(ReplicaSet)) == 2
    assert len(other.list(Pod)) == 1


# On the way


def test_a_paused_deployment_scales_and_does_not_roll() -> None:
    store = rolled()
    change(store, paused=True)
    with_template(store, "b")
    change(store, replicas=5)
    converge(store, between=start_all)
    assert of_version(store) == ["a"] * 5
    assert condition(web(store), "Progressing") == ("Unknown", "DeploymentPaused")
    change(store, paused=False)
    converge(store, between=start_all)
    assert of_version(store) == ["b"] * 5


def test_recreate_ends_all_before_it_begins_anew() -> None:
    store = rolled(strategy=UpdateStrategy("Recreate"))
    with_template(store, "b")
    seen: list[int] = []

    def watched(store: Store) -> None:
        versions = {found.meta.annotations["version"] for found in store.list(Pod)}
        assert len(versions) <= 1
        seen.append(len(store.list(Pod)))
        start_all(store)

    converge(store, between=watched)
    assert 0 in seen
    assert of_version(store) == ["b"] * 3


def test_scaling_in_mid_rollout_is_shared_out() -> None:
    store = rolled(10, strategy=UpdateStrategy("RollingUpdate", RollingUpdate(3, 2)))
    with_template(store, "b")
    converge(store)  # the new pods never become ready: 8 old ones stay, 5 new ones wait
    change(store, replicas=15)
    converge(store)
    sizes = {item.template.annotations["version"]: item.replicas for item in store.list(ReplicaSet)}
    assert sizes == {"a": 11, "b": 7}  # the example of Kubernetes' documentation


def test_a_rollout_that_does_not_get_on_says_so() -> None:
    store = rolled(progress_deadline_s=600.0)
    with_template(store, "b")
    converge(store, now_s=100.0)
    assert condition(web(store), "Progressing") == ("True", "ReplicaSetUpdated")
    wakes = [deployments.reconcile(store.snapshot(), 100.0)[1]]
    assert wakes == [700.0]
    converge(store, now_s=699.0)
    assert condition(web(store), "Progressing") == ("True", "ReplicaSetUpdated")
    converge(store, now_s=700.0)
    assert condition(web(store), "Progressing") == ("False", "ProgressDeadlineExceeded")
    converge(store, now_s=710.0, between=start_all)
    assert condition(web(store), "Progressing") == ("True", "NewReplicaSetAvailable")


def test_available_is_what_the_strategy_bears() -> None:
    store = rolled(4)
    assert condition(web(store), "Available") == ("True", "MinimumReplicasAvailable")
    for found in active(store)[:2]:
        store.apply([Update(replace(found, status=replace(found.status, ready=False)))])
    converge(store)
    assert condition(web(store), "Available") == ("False", "MinimumReplicasUnavailable")
    assert web(store).status.unavailable_replicas == 2


def test_a_pod_is_available_once_it_has_been_ready_for_long_enough() -> None:
    store = stored(replace(deployment("web", 1), min_ready_s=30.0))
    with_template(store, "a")
    converge(store)
    (only,) = store.list(Pod)
    store.apply([Update(running(only, "10.244.1.2", ready_changed_s=100.0))])
    converge(store, now_s=129.0)
    assert (web(store).status.ready_replicas, web(store).status.available_replicas) == (1, 0)
    assert replica_sets.reconcile(store.snapshot(), 129.0)[1] == 130.0
    converge(store, now_s=130.0)
    assert web(store).status.available_replicas == 1


# ReplicaSets by themselves


def alone(replicas: int = 2, **labels: str) -> ReplicaSet:
    template = deployment("web").template
    meta = replace(deployment("lone").meta, labels=labels)
    return ReplicaSet(meta, replicas, LabelSelector({"app": "web"}), template)


def test_a_replica_set_adopts_what_it_selects_and_releases_what_it_does_not() -> None:
    store = stored(pod("stray"), alone(2))
    converge(store, between=start_all)
    assert len(store.list(Pod)) == 2
    adopted = store.get(Pod, "default", "stray")
    assert adopted.meta.owner is not None
    assert adopted.meta.owner.name == "lone"
    store.apply([Update(with_meta(adopted, labels={"app": "quarantine"}))])
    converge(store, between=start_all)
    assert store.get(Pod, "default", "stray").meta.owners == ()
    assert len(store.list(Pod)) == 3


def cost(number: str) -> Callable[[Pod], Pod]:
    return lambda found: with_meta(found, annotations={DELETION_COST_ANNOTATION: number})


def restarted(found: Pod) -> Pod:
    return replace(found, status=replace(found.status, ready_changed_s=50.0))


FIRST_TO_GO: list[tuple[str, Callable[[Pod], Pod], bool]] = [
    ("the cheapest", cost("-5"), True),
    ("the dearest stays", cost("5"), False),
    ("no number costs nothing", cost("much"), False),
    ("ready for the shortest time", restarted, True),
    ("not ready", lambda found: replace(found, status=replace(found.status, ready=False)), True),
]


@pytest.mark.parametrize(
    ("name", "differs", "goes"), FIRST_TO_GO, ids=[row[0] for row in FIRST_TO_GO]
)
def test_which_pod_goes_first(name: str, differs: Callable[[Pod], Pod], *, goes: bool) -> None:
    store = stored(alone(3))
    converge(store, between=start_all)
    which = sorted(found.meta.name for found in store.list(Pod))[1]
    store.apply([Update(differs(store.get(Pod, "default", which)))])
    found = store.get(ReplicaSet, "default", "lone")
    store.apply([Update(replace(found, replicas=2))])
    converge(store)
    assert (store.get(Pod, "default", which).meta.deletion_s is not None) is goes


def test_a_crowded_node_loses_its_pod_first() -> None:
    store = stored(alone(3))
    converge(store)
    for found, where in zip(store.list(Pod), ("n1", "n2", "n2"), strict=True):
        store.apply([Update(running(found, "10.244.1.2", where))])
    store.apply([Update(replace(store.get(ReplicaSet, "default", "lone"), replicas=2))])
    converge(store)
    assert sorted(found.spec.node_name for found in active(store)) == ["n1", "n2"]
