"""Nodes of a lab take over each other's work: what comes out is what each would have planned alone."""

from __future__ import annotations

import gc
from itertools import pairwise

import pytest

from testbed.lab.planner import Planner, uncollected
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.proxy.programme import Programme, next_programme
from testbed.proxy.ruleset import Backend
from testbed.proxy.table import ForwardingTable, ServicePortEntry, forwarding_table
from testbed.store import Create, Store, Update
from tests.addresses import PLAN, PLAN6
from tests.flows import NAMESPACE, PROFILES, STATES, cluster, nodes
from tests.tracers import SUBJECTS, Subject, config_of, dual_stack_snapshot

CONFIG = config_of(4, PROFILES[0])
NODES = tuple(PLAN.nodes)
MOVES = tuple(pairwise((*STATES, *list(STATES)[::-3], *STATES)))
"""From states to states, forth and back."""


def table(state: str, node: str, *helps: ForwardingTable | None) -> ForwardingTable:
    return forwarding_table(dual_stack_snapshot(state), CONFIG, node, *helps)


def by_port(found: ForwardingTable) -> dict[tuple[str, str], ServicePortEntry]:
    return {(entry.name, entry.protocol): entry for entry in found.ports}


@pytest.mark.parametrize("state", STATES)
def test_entries_are_the_same_objects_on_all_nodes_unless_the_node_matters(state: str) -> None:
    first = table(state, "n1")
    for node in NODES[1:]:
        other = table(state, node, None, first)
        mine, theirs = by_port(other), by_port(first)
        assert mine.keys() == theirs.keys()
        assert all(
            mine[key] is theirs[key]
            for key in mine
            if (mine[key].namespace, mine[key].service) not in first.of_this_node
        )
        assert {key for key in mine if mine[key] != theirs[key]} <= {
            key for key in mine if (mine[key].namespace, mine[key].service) in first.of_this_node
        }


def test_most_services_are_the_same_on_all_nodes() -> None:
    found = table("base", "n1")
    kinds = {key[1]: key in found.of_this_node for key in found.by_service}
    assert not any(kinds[name] for name in ("web", "sticky", "multi", "outward", "draining"))
    assert all(kinds[name] for name in ("internal", "external", "zoned", "node-ranged"))


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_another_nodes_table_is_no_harm(before: str, after: str) -> None:
    alone = table(after, "n2")
    own = table(before, "n2")
    for help_ in (table(after, "n1"), table(before, "n3"), table(before, "n1", own)):
        assert table(after, "n2", None, help_) == alone
        assert table(after, "n2", own, help_) == alone
        assert table(after, "n2", help_) == alone


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.label)
def test_another_nodes_rules_are_no_harm(subject: Subject) -> None:
    backend = subject.backend(4)
    for before, after in MOVES:
        alone = backend.plan(table(after, "n2"))
        for help_ in (table(after, "n1"), table(before, "n1")):
            shared = table(after, "n2", None, help_)
            assert backend.plan(shared, backend.plan(help_)) == alone, (before, after)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.label)
def test_a_planner_gives_each_node_what_it_would_have_planned_alone(subject: Subject) -> None:
    backend = subject.backend(4)
    planner = Planner(backend, CONFIG)
    programmes: dict[str, Programme | None] = dict.fromkeys(NODES)
    for state in STATES:
        snapshot = dual_stack_snapshot(state)
        for node in NODES:
            planned = planner.plan(snapshot, node, programmes[node])
            assert planned == alone(subject.backend(4), state, node)
            programmes[node] = planned


def test_what_a_node_s_first_plan_makes_is_left_alone_by_the_collector() -> None:
    before = gc.get_freeze_count()
    try:
        with uncollected():
            assert not gc.isenabled()
            made = [[number] for number in range(1000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() > before + len(made)
    finally:
        gc.unfreeze()


def alone(backend: Backend, state: str, node: str) -> Programme:
    return next_programme(dual_stack_snapshot(state), CONFIG, node, backend, None)


def test_a_change_is_decided_by_the_first_node_that_hears_of_it() -> None:
    store = Store(lambda: 0.0)
    store.apply(Create(item) for item in (*nodes(PLAN, PLAN6), *cluster(PLAN, "base", PLAN6)))
    before = {node: forwarding_table(store.snapshot(), CONFIG, node) for node in NODES[:2]}
    item = store.get(EndpointSlice, NAMESPACE, "web-a")
    store.apply([Update(EndpointSlice(item.meta, item.endpoints[:1], item.ports))])
    first = forwarding_table(store.snapshot(), CONFIG, "n1", before["n1"])
    second = forwarding_table(store.snapshot(), CONFIG, "n2", before["n2"], first)
    key = (NAMESPACE, "web")
    assert first.by_service[key] != before["n1"].by_service[key]
    assert all(a is b for a, b in zip(second.by_service[key], first.by_service[key], strict=True))
