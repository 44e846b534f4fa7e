"""Properties of the IPVS back end over the cluster states: determinism, path independence, idempotence."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ruleset import Ruleset
from testbed.proxy.table import ForwardingTable, forwarding_table
from tests.flows import PROFILES, STATES
from tests.tracers import config_of, dual_stack_snapshot
from tests.unit.proxy.ipvs_interpreter import Kernel

BACKEND = IpvsBackend("rr", "legacy")
SUBJECTS = [("rr", 4, PROFILES[0]), ("mh", 4, PROFILES[1]), ("rr", 6, PROFILES[0])]


@cache
def table(state: str, family: int = 4, profile: str = PROFILES[0]) -> ForwardingTable:
    return forwarding_table(dual_stack_snapshot(state), config_of(family, profile), "n1")


@cache
def plan(state: str, scheduler: str = "rr", family: int = 4, profile: str = PROFILES[0]) -> Ruleset:
    return IpvsBackend(scheduler, "legacy", family).plan(table(state, family, profile))


def seen(kernel: Kernel) -> Ruleset:
    return BACKEND.parse(kernel.observed()).own


@pytest.mark.parametrize("state", STATES)
def test_equal_input_gives_equal_bytes(state: str) -> None:
    again = BACKEND.plan(table(state))
    assert again == plan(state)
    assert list(map(str, BACKEND.commands(None, again))) == list(
        map(str, BACKEND.commands(None, plan(state)))
    )


@pytest.mark.parametrize("state", STATES)
def test_a_plan_does_not_depend_on_the_plan_before(state: str) -> None:
    fresh = plan(state)
    for before in STATES:
        derived = forwarding_table(
            dual_stack_snapshot(state), config_of(4, PROFILES[0]), "n1", table(before)
        )
        planned = BACKEND.plan(derived, plan(before))
        assert planned == fresh, before
        assert list(map(str, BACKEND.commands(None, planned))) == list(
            map(str, BACKEND.commands(None, fresh))
        )


@pytest.mark.parametrize("before", STATES)
def test_a_difference_applied_to_one_state_gives_any_other(before: str) -> None:
    have = plan(before)
    for after in STATES:
        derived = BACKEND.plan(table(after), have)
        kernel = Kernel().run(BACKEND.commands(None, have))
        kernel.run(BACKEND.commands(have, derived))
        assert seen(kernel) == plan(after), after
        assert seen(kernel).lingering == BACKEND.lingering(have, derived), after


@pytest.mark.parametrize(("scheduler", "family", "profile"), SUBJECTS)
def test_the_way_through_all_states_leads_to_each(
    scheduler: str, family: int, profile: str
) -> None:
    backend = IpvsBackend(scheduler, "legacy", family)
    kernel = Kernel()
    have: Ruleset | None = None
    for state in (*STATES, *reversed(STATES)):
        want = backend.plan(table(state, family, profile), have)
        kernel.run(backend.commands(have, want))
        have = replace(want, lingering=backend.lingering(have, want))
        observed = backend.parse(kernel.observed())
        assert observed.own == plan(state, scheduler, family, profile), state
        assert observed.own.lingering == have.lingering, state
        assert not observed.foreign


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_done_where_nothing_differs(state: str) -> None:
    kernel = Kernel().run(BACKEND.commands(None, plan(state)))
    assert BACKEND.commands(plan(state), BACKEND.plan(table(state))) == []
    assert BACKEND.commands(seen(kernel), plan(state)) == []
    assert BACKEND.commands(plan(state), BACKEND.plan(table(state), plan(state))) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_another_profile_or_scheduler_is_a_difference_like_any(profile: str) -> None:
    other = plan("policies turned", "mh", 4, PROFILES[1])
    want = plan("base", "sh", 4, profile)
    kernel = Kernel().run(BACKEND.commands(None, other))
    kernel.run(BACKEND.commands(other, want))
    assert seen(kernel) == want


def test_a_changed_endpoint_writes_one_line_for_each_of_its_addresses() -> None:
    want = BACKEND.plan(table("one withdrawn"), plan("base"))
    (command,) = BACKEND.commands(plan("base"), want)
    assert command.argv == ("ipvsadm", "--restore")
    assert [line[:3] for line in command.stdin.splitlines()] == ["-e ", "-e "]


def test_a_damaged_node_is_repaired_from_what_its_kernel_holds() -> None:
    want = plan("base")
    kernel = Kernel().run(BACKEND.commands(None, want))
    kernel.addresses.pop()
    kernel.servers.popitem()
    kernel.sets["KUBE-CLUSTER-IP"][1].pop()
    kernel.sets["KUBE-IPVS-IPS"][1].append("10.96.77.77")
    kernel.tables["nat"]["KUBE-SERVICES"].pop()
    kernel.run(BACKEND.commands(seen(kernel), want))
    assert seen(kernel) == want


def test_each_family_takes_what_is_its_own() -> None:
    both = Kernel().run(BACKEND.commands(None, plan("base")))
    six = IpvsBackend("rr", "legacy", 6)
    both.run(six.commands(six.parse(both.observed()).own, plan("base", "rr", 6)))
    assert set(six.parse(both.observed()).own.tables["ipvs"]) == set(
        plan("base", "rr", 6).tables["ipvs"]
    )
    assert set(seen(both).tables["ipset"]) == set(plan("base").tables["ipset"])


def test_a_set_of_somebody_else_is_foreign() -> None:
    kernel = Kernel().run(BACKEND.commands(None, plan("base")))
    kernel.sets["SOMEBODYS"] = ("hash:ip family inet", ["10.0.0.1"])
    assert BACKEND.parse(kernel.observed()).foreign


def test_a_fresh_namespace_is_seen_to_be_empty() -> None:
    assert BACKEND.parse(Kernel().observed()).empty
