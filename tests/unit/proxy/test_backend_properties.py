"""Properties of the iptables back end over the cluster states: determinism, path independence,
idempotence.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.ruleset import Ruleset
from testbed.proxy.table import ForwardingTable, forwarding_table
from tests.flows import PROFILES, STATES
from tests.tracers import config_of, dual_stack_snapshot
from tests.unit.proxy.restore_interpreter import Tables, apply, as_text, empty_tables

WHOLE = IptablesBackend("nft")
CHUNKED = IptablesBackend("nft", max_rules_per_transaction=12)
"""A bound so small that the dispatch chain does not fit."""
BACKENDS = pytest.mark.parametrize(
    "backend",
    [
        WHOLE,
        CHUNKED,
        IptablesBackend("legacy", family=6),
        IptablesBackend("nft", max_rules_per_transaction=12, family=6),
    ],
    ids=["whole", "chunked", "IPv6 whole", "IPv6 chunked"],
)

FOREIGN = {
    "nat": {
        "POSTROUTING": ["-A POSTROUTING -s 10.244.0.0/16 -j CNI"],
        "CNI": ["-A CNI -j MASQUERADE"],
    },
    "filter": {"INPUT": ["-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"]},
}


def table_for(
    state: str, family: int = 4, before: ForwardingTable | None = None
) -> ForwardingTable:
    """The table of node n1, perhaps derived from one before."""
    config = config_of(family, PROFILES[0])
    return forwarding_table(dual_stack_snapshot(state), config, "n1", before)


def plan(backend: IptablesBackend, state: str) -> Ruleset:
    return backend.plan(table_for(state, backend.family))


@cache
def fresh_plan(backend: IptablesBackend, state: str) -> Ruleset:
    return plan(backend, state)


def ours(tables: Tables) -> Ruleset:
    return WHOLE.parse(as_text(tables)).own


def foreign_tables() -> Tables:
    tables = empty_tables()
    for table, chains in FOREIGN.items():
        for name, rules in chains.items():
            tables[table][name] = list(rules)
    return tables


@BACKENDS
@pytest.mark.parametrize("state", STATES)
def test_equal_input_gives_equal_bytes(state: str, backend: IptablesBackend) -> None:
    first, second = plan(backend, state), plan(backend, state)
    assert str(backend.commands(None, first)) == str(backend.commands(None, second))


@BACKENDS
@pytest.mark.parametrize("before", STATES)
def test_a_step_from_any_state_leads_to_any_other(before: str, backend: IptablesBackend) -> None:
    first = table_for(before, backend.family)
    have = backend.plan(first)
    there, _ = apply(empty_tables(), backend.commands(None, have))
    for after in STATES:
        fresh = fresh_plan(backend, after)
        stepped = backend.plan(table_for(after, backend.family, first), have)
        assert stepped == fresh, after
        assert str(backend.commands(None, stepped)) == str(backend.commands(None, fresh)), after
        commands = backend.commands(have, stepped)
        assert ours(apply(there, commands)[0]) == with_all_tables(fresh), after
        # A proxy that was restarted has no memo, only what it reads.
        assert str(backend.commands(ours(there), fresh)) == str(commands), after


def with_all_tables(rules: Ruleset) -> Ruleset:
    """As a kernel shows it: with the tables that we have nothing in."""
    return Ruleset({**{table: {} for table in empty_tables()}, **rules.tables})


@BACKENDS
@pytest.mark.parametrize("state", STATES)
def test_nothing_is_done_where_nothing_differs(state: str, backend: IptablesBackend) -> None:
    want = plan(backend, state)
    tables, _ = apply(empty_tables(), backend.commands(None, want))
    assert backend.commands(want, plan(backend, state)) == []
    assert backend.commands(ours(tables), want) == []


@pytest.mark.parametrize("state", STATES)
def test_a_bound_on_a_transaction_is_kept(state: str) -> None:
    _, sizes = apply(empty_tables(), CHUNKED.commands(None, plan(CHUNKED, state)))
    assert max(sizes) <= 12
    _, sizes = apply(empty_tables(), WHOLE.commands(None, plan(WHOLE, state)))
    assert len(sizes) == 3


@BACKENDS
@pytest.mark.parametrize("state", STATES)
def test_the_rules_of_others_survive(state: str, backend: IptablesBackend) -> None:
    seen = backend.parse(as_text(foreign_tables()))
    assert seen.foreign
    assert not seen.empty
    want = plan(backend, state)
    tables, _ = apply(foreign_tables(), backend.commands(seen.own, want))
    assert ours(tables).tables["nat"] == want.tables["nat"]
    for table, chains in FOREIGN.items():
        for name, rules in chains.items():
            assert [rule for rule in tables[table][name] if rule in rules] == rules


def test_a_damaged_node_is_repaired_from_what_its_kernel_holds() -> None:
    want = plan(WHOLE, "base")
    tables, _ = apply(empty_tables(), WHOLE.commands(None, want))
    tables["nat"]["KUBE-SERVICES"].pop(3)
    tables["nat"]["PREROUTING"].clear()
    tables["nat"]["KUBE-SVC-LEFTOVER"] = ["-A KUBE-SVC-LEFTOVER -j KUBE-SEP-LEFTOVER"]
    tables["nat"]["KUBE-SEP-LEFTOVER"] = []
    tables, _ = apply(tables, WHOLE.commands(ours(tables), want))
    assert ours(tables) == ours(apply(empty_tables(), WHOLE.commands(None, want))[0])


def test_a_change_of_one_service_writes_that_service_only() -> None:
    have, want = plan(WHOLE, "base"), plan(WHOLE, "one withdrawn")
    (command,) = WHOLE.commands(have, want)
    declared = [line for line in command.stdin.splitlines() if line.startswith(":")]
    assert [line[:10] for line in declared] == [":KUBE-SVC-", ":KUBE-SEP-"]
    assert "KUBE-SERVICES" not in command.stdin


def test_large_clusters_have_no_comments_in_endpoint_chains() -> None:
    table = table_for("base")
    large = WHOLE.plan(replace(table, known_endpoints=1001)).tables["nat"]
    small = WHOLE.plan(replace(table, known_endpoints=1000)).tables["nat"]
    assert not any("comment" in rule for name in large if "SEP" in name for rule in large[name])
    assert all("comment" in rule for name in small if "SEP" in name for rule in small[name])
    assert large["KUBE-SERVICES"] == small["KUBE-SERVICES"]


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        (IptablesBackend("nft"), True),
        (IptablesBackend("legacy"), False),
        (IptablesBackend("nft", max_rules_per_transaction=200), False),
    ],
)
def test_only_nft_in_one_transaction_replaces_everything_after_a_large_change(
    backend: IptablesBackend, expected: bool
) -> None:
    small = plan(backend, "base")
    crowd = {f"KUBE-SEP-{number}": () for number in range(1200)}
    large = Ruleset({**small.tables, "nat": {**small.tables["nat"], **crowd}})
    assert backend.rewrites(small, large) is expected
    assert backend.rewrites(small, plan(backend, "scaled up")) is False
