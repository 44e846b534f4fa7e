"""Withdrawal in two steps: weight 0 while connections last, then away."""

from __future__ import annotations

from dataclasses import replace

from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.ruleset import Drains, Ruleset
from tests.addresses import DATAGRAM, PLAN, WEB
from tests.unit.proxy.ipvs_interpreter import Kernel
from tests.unit.proxy.test_ipvs_properties import BACKEND, plan, seen

GONE = f"-t {WEB}:80 -r {PLAN.pods['web-1']}:8080"
GONE_AT_NODE_PORT = f"-t {PLAN.nodes['n1']}:30080 -r {PLAN.pods['web-1']}:8080"


def withdrawn() -> tuple[Kernel, Ruleset]:
    """A node after web-1 was withdrawn, and the rules that its proxy has in force."""
    kernel = Kernel().run(BACKEND.commands(None, plan("base")))
    want = plan("one withdrawn")
    kernel.run(BACKEND.commands(plan("base"), want))
    return kernel, replace(want, lingering=BACKEND.lingering(plan("base"), want))


def finish(kernel: Kernel, rules: Ruleset, *busy: str) -> Ruleset:
    commands, left = BACKEND.finish(kernel.listed(BACKEND.look(rules), busy), rules)
    kernel.run(commands)
    return left


def test_the_back_end_drains() -> None:
    assert isinstance(BACKEND, Drains)
    assert BACKEND.drain_check_s == 60.0


def test_a_withdrawn_destination_lingers_with_weight_0() -> None:
    kernel, rules = withdrawn()
    assert rules.lingering == {GONE, GONE_AT_NODE_PORT}
    assert kernel.servers[f"-t {WEB}:80"][1] == {
        f"{PLAN.pods['web-0']}:8080": 1,
        f"{PLAN.pods['web-1']}:8080": 0,
    }


def test_what_has_no_connection_goes_and_what_has_one_stays() -> None:
    kernel, rules = withdrawn()
    rules = finish(kernel, rules, GONE)
    assert rules.lingering == {GONE}
    assert seen(kernel).lingering == {GONE}
    rules = finish(kernel, rules)
    assert rules.lingering == seen(kernel).lingering == frozenset()
    assert seen(kernel) == plan("one withdrawn")


def test_one_that_comes_back_takes_traffic_again() -> None:
    kernel, rules = withdrawn()
    kernel.run(BACKEND.commands(rules, plan("base")))
    assert BACKEND.lingering(rules, plan("base")) == frozenset()
    assert seen(kernel) == plan("base")
    assert seen(kernel).lingering == frozenset()


def test_a_restarted_proxy_finds_what_lingers() -> None:
    kernel, _ = withdrawn()
    found = seen(kernel)
    assert found.lingering == {GONE, GONE_AT_NODE_PORT}
    assert BACKEND.commands(found, plan("one withdrawn")) == []
    kernel.run(BACKEND.commands(found, plan("base")))
    assert seen(kernel) == plan("base")


def test_it_lingers_through_a_sync_of_something_else_and_goes_with_its_service() -> None:
    kernel, rules = withdrawn()
    other = replace(plan("one withdrawn"), memo=None)
    assert BACKEND.lingering(rules, other) == rules.lingering
    kernel.run(BACKEND.commands(rules, plan("service deleted")))
    assert BACKEND.lingering(rules, plan("service deleted")) == frozenset()
    assert seen(kernel) == plan("service deleted")


def test_a_udp_destination_goes_at_once() -> None:
    kernel = Kernel().run(BACKEND.commands(None, plan("base")))
    kernel.run(BACKEND.commands(plan("base"), plan("datagrams moved")))
    assert BACKEND.lingering(plan("base"), plan("datagrams moved")) == frozenset()
    assert set(kernel.servers[f"-u {DATAGRAM}:53"][1]) == {f"{PLAN.pods['web-2']}:8080"}


def test_nothing_is_asked_of_servers_that_have_nothing_lingering() -> None:
    _, rules = withdrawn()
    assert IpvsBackend("rr", "legacy").look(rules).stdin.splitlines() == [
        f"-t {WEB}:80",
        f"-t {PLAN.nodes['n1']}:30080",
    ]
