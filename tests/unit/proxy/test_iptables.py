"""What the flow table does not show of the iptables rules: probes, chosen addresses, how IPv6 is spelt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.command import Command
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.node_ports import node_port_ips
from testbed.proxy.table import ForwardingTable, forwarding_table
from tests.addresses import PLAN, PLAN6
from tests.flows import PROFILES
from tests.tracers import config_of, dual_stack_snapshot

LAST = '"kubernetes service nodeports; NOTE: this must be the last rule in this chain"'


def table_for(family: int, *node_port_addresses: str) -> ForwardingTable:
    config = replace(config_of(family, PROFILES[0]), node_port_addresses=node_port_addresses)
    return forwarding_table(dual_stack_snapshot("base"), config, "n1")


def chain(table: ForwardingTable, name: str, of: str = "nat") -> tuple[str, ...]:
    return IptablesBackend("nft", family=table.config.family).plan(table).tables[of][name]


@pytest.mark.parametrize("family", [4, 6])
def test_probes_of_a_health_check_port_are_let_in(family: int) -> None:
    table = table_for(family)
    assert chain(table, "KUBE-NODEPORTS", "filter") == ()
    probed = replace(table.ports[0], health_check_node_port=31000)
    assert chain(replace(table, ports=(probed,)), "KUBE-NODEPORTS", "filter") == (
        f'-A KUBE-NODEPORTS -p tcp -m comment --comment "{probed.name} health check node port"'
        " -m tcp --dport 31000 -j ACCEPT",
    )


@pytest.mark.parametrize(
    ("family", "chosen", "expected"),
    [
        (4, (), None),
        (6, (), None),
        (4, ("primary",), (PLAN.nodes["n1"],)),
        (6, ("primary",), (PLAN6.nodes["n1"],)),
        (4, ("192.0.2.0/24",), (PLAN.nodes["n1"],)),
        (4, ("127.0.0.0/8", "192.0.2.0/24"), ("127.0.0.1", PLAN.nodes["n1"])),
        (4, (PLAN.far_cidr,), ()),
        (4, ("0.0.0.0/0",), None),
        (6, ("192.0.2.0/24",), None),
    ],
    ids=str,
)
def test_node_ports_answer_on_chosen_addresses(
    family: int, chosen: tuple[str, ...], expected: tuple[str, ...] | None
) -> None:
    table = table_for(family, *chosen)
    assert node_port_ips(table) == expected
    rules = [rule for rule in chain(table, "KUBE-SERVICES") if LAST in rule]
    if expected is None:
        (rule,) = rules
        assert "--dst-type LOCAL" in rule
    else:
        length = 32 if family == 4 else 128
        assert [rule.split(" ")[3] for rule in rules] == [f"{ip}/{length}" for ip in expected]


def test_ipv6_node_ports_never_answer_on_the_loopback() -> None:
    (rule,) = [rule for rule in chain(table_for(6), "KUBE-SERVICES") if LAST in rule]
    assert rule.startswith("-A KUBE-SERVICES ! -d ::1/128 ")
    assert chain(table_for(6, "::1/128"), "KUBE-SERVICES")[-1].count(LAST) == 0
    assert IptablesBackend("nft", family=6).sysctls == {}


def test_each_family_has_its_own_tools_and_words() -> None:
    backend = IptablesBackend("legacy", family=6)
    assert backend.observe() == Command(("ip6tables-legacy-save",))
    (command,) = backend.commands(None, backend.plan(table_for(6)))
    assert command.argv == ("ip6tables-legacy-restore",)
    assert f"--to-destination [{PLAN6.pods['web-0']}]:8080" in command.stdin
    assert "--reject-with icmp6-port-unreachable" in command.stdin
    assert "/32" not in command.stdin
    assert not any(ip in command.stdin for ip in (*PLAN.pods.values(), "127.0.0.0/8"))
    assert backend.name == IptablesBackend("legacy").name
