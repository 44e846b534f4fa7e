"""The back end's properties over all cluster states: determinism, path independence, idempotence; and
that a sync looks at what changed only.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest

from testbed.proxy.nftables import NftablesBackend
from testbed.proxy.nftables_state import State
from testbed.proxy.ruleset import Ruleset
from tests.flows import STATES
from tests.unit.proxy.nft_interpreter import apply
from tests.unit.proxy.nft_states import table_for

FAMILIES = (4, 6)
CUT = 6_000
"""Bytes of a transaction: a chain or two."""


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("state", STATES)
def test_equal_input_gives_equal_bytes(state: str, family: int) -> None:
    one, other = NftablesBackend(family), NftablesBackend(family)
    table = table_for(state, family)
    assert str(one.commands(None, one.plan(table))) == str(other.commands(None, other.plan(table)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("state", STATES)
def test_a_full_sync_brings_about_what_was_planned(state: str, family: int) -> None:
    backend = NftablesBackend(family)
    want = backend.plan(table_for(state, family))
    assert apply({}, backend.commands(None, want)) == dict(want.tables)


@pytest.mark.parametrize("state", STATES)
def test_all_of_a_plan_is_what_a_comparison_with_nothing_finds(state: str) -> None:
    backend = NftablesBackend()
    want = backend.plan(table_for(state))
    assert backend.commands(None, want) == backend.commands(None, Ruleset(dict(want.tables)))


@cache
def fresh_plan(state: str, family: int) -> Ruleset:
    return NftablesBackend(family).plan(table_for(state, family))


@pytest.mark.parametrize(
    ("family", "cut"), [(4, None), (4, CUT), (6, None)], ids=["IPv4", "IPv4 cut", "IPv6"]
)
@pytest.mark.parametrize("before", STATES)
def test_a_step_from_any_state_leads_to_any_other(
    before: str, family: int, cut: int | None
) -> None:
    backend = NftablesBackend(family, cut)
    for after in STATES:
        first = table_for(before, family)
        have = backend.plan(first)
        stepped = backend.plan(table_for(after, family, before=first), have)
        fresh = fresh_plan(after, family)
        assert stepped == fresh, after
        commands = backend.commands(have, stepped)
        assert apply(have.tables, commands) == dict(fresh.tables), after
        assert not backend.commands(stepped, stepped)


@pytest.mark.parametrize(("before", "after"), list(product(("base", "nothing"), STATES)))
def test_what_was_noted_while_planning_is_what_a_comparison_finds(before: str, after: str) -> None:
    backend = NftablesBackend()
    first = table_for(before)
    have = backend.plan(first)
    want = backend.plan(table_for(after, before=first), have)
    noted = apply(have.tables, backend.commands(have, want))
    compared = apply(have.tables, backend.commands(Ruleset(dict(have.tables)), want))
    assert noted == compared == dict(want.tables)


def test_unchanged_ports_are_taken_over_and_not_looked_at() -> None:
    backend = NftablesBackend()
    first = table_for("base")
    have = backend.plan(first)
    want = backend.plan(table_for("one withdrawn", before=first), have)
    assert isinstance(have.memo, State)
    assert isinstance(want.memo, State)
    kept = [port for port in want.memo.ports if any(port is old for old in have.memo.ports)]
    assert len(kept) == len(want.memo.ports) - 1
    assert want.memo.step is not None
    assert [name for name, _, _ in want.memo.step.blocks] == [
        "chain service-NUQQGY2J-flows/web/tcp/http"
    ]


def test_nodes_share_what_is_spelt() -> None:
    backend = NftablesBackend()
    table = table_for("base")
    one, other = backend.plan(table), backend.plan(table)
    assert isinstance(one.memo, State)
    assert isinstance(other.memo, State)
    assert all(a is b for a, b in zip(one.memo.ports, other.memo.ports, strict=True))


@pytest.mark.parametrize("state", STATES)
def test_a_plan_taken_over_from_another_node_is_the_nodes_own(state: str) -> None:
    backend = NftablesBackend()
    table = table_for(state)
    plan = backend.plan(table)
    for node in ("n2", "n3", "n1"):
        table = table_for(state, node=node, before=table)
        plan = backend.plan(table, plan)
        assert plan == NftablesBackend().plan(table_for(state, node=node)), node
