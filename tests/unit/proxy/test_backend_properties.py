"""Three properties of a back end over the cluster states: determinism, path independence,
idempotence.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.ruleset import Ruleset
from testbed.proxy.table import forwarding_table
from tests.flows import STATES
from tests.unit.proxy.restore_interpreter import Tables, apply, as_text, empty_tables
from tests.unit.proxy.states import CONFIG, snapshot_of, table_of

WHOLE = IptablesBackend("nft")
CHUNKED = IptablesBackend("nft", max_rules_per_transaction=12)
"""A bound so small that the dispatch chain does not fit."""

FOREIGN = {
    "nat": {
        "POSTROUTING": ["-A POSTROUTING -s 10.244.0.0/16 -j CNI"],
        "CNI": ["-A CNI -j MASQUERADE"],
    },
    "filter": {"INPUT": ["-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"]},
}


def plan(backend: IptablesBackend, state: str, previous: Ruleset | None = None) -> Ruleset:
    return backend.plan(table_of(snapshot_of(state)), previous)


def ours(tables: Tables) -> Ruleset:
    return WHOLE.parse(as_text(tables)).own


def foreign_tables() -> Tables:
    tables = empty_tables()
    for table, chains in FOREIGN.items():
        for name, rules in chains.items():
            tables[table][name] = list(rules)
    return tables


@pytest.mark.parametrize("state", STATES)
def test_equal_input_gives_equal_bytes(state: str) -> None:
    first, second = plan(WHOLE, state), plan(WHOLE, state)
    assert str(WHOLE.commands(None, first)) == str(WHOLE.commands(None, second))


@pytest.mark.parametrize("state", STATES)
def test_a_plan_does_not_depend_on_the_plan_before(state: str) -> None:
    fresh = plan(WHOLE, state)
    for before in STATES:
        earlier = table_of(snapshot_of(before))
        table = forwarding_table(snapshot_of(state), CONFIG, "n1", earlier)
        planned = WHOLE.plan(table, WHOLE.plan(earlier))
        assert planned == fresh
        assert str(WHOLE.commands(None, planned)) == str(WHOLE.commands(None, fresh))


@pytest.mark.parametrize("backend", [WHOLE, CHUNKED], ids=["whole", "chunked"])
@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
def test_a_difference_applied_to_one_state_gives_the_other(
    before: str, after: str, backend: IptablesBackend
) -> None:
    have, want = plan(backend, before), plan(backend, after)
    tables, _ = apply(empty_tables(), backend.commands(None, have))
    tables, _ = apply(tables, backend.commands(have, want))
    full, _ = apply(empty_tables(), backend.commands(None, want))
    assert ours(tables) == ours(full) == Ruleset({**ours(full).tables, **want.tables})


@pytest.mark.parametrize("backend", [WHOLE, CHUNKED], ids=["whole", "chunked"])
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


@pytest.mark.parametrize("backend", [WHOLE, CHUNKED], ids=["whole", "chunked"])
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
    table = table_of(snapshot_of("base"))
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
