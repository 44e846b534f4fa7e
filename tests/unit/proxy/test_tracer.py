"""The tracer: what it must refuse, and what rules do to a packet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.iptables_restore import RuleSyntaxError, parse_tables
from testbed.proxy.iptables_rules import parse_rule
from testbed.proxy.packet import Packet, UnknownRuleError
from testbed.proxy.table import ForwardingTable
from testbed.proxy.tracer import Tracer
from tests import addresses as a
from tests.addresses import PLAN
from tests.unit.proxy.states import snapshot_of, table_of

DIAL = Packet("tcp", PLAN.pods["dialer-3"], a.STICKY, 80)


def tracer(table: ForwardingTable) -> Tracer:
    return Tracer(IptablesBackend("nft").plan(table).tables, table.node_ips)


@pytest.mark.parametrize(
    "rule",
    [
        "-A KUBE-SERVICES",
        "-A KUBE-SERVICES -p tcp",
        "-A KUBE-SERVICES -i eth0 -j DROP",
        "-A KUBE-SERVICES -m time --timestart 10:00 -j DROP",
        "-A KUBE-SERVICES -p tcp -m tcp --sport 80 -j DROP",
        "-A KUBE-SERVICES -p tcp -m tcp ! --dport 80 -j DROP",
        "-A KUBE-SERVICES -m conntrack --ctstate UNTRACKED -j DROP",
        "-A KUBE-SERVICES -m addrtype --dst-type BROADCAST -j DROP",
        "-A KUBE-SERVICES -m statistic --mode nth --every 2 --packet 0 -j DROP",
        "-A KUBE-SERVICES -m recent --update --name KUBE-SEP-X -j DROP",
        "-A KUBE-SERVICES -m recent --name KUBE-SEP-X -j DROP",
        "-A KUBE-SERVICES -j REJECT --reject-with tcp-reset",
        "-A KUBE-SERVICES -j DNAT",
        "-A KUBE-SERVICES -j MARK --set-mark 0x1",
        "-A KUBE-SERVICES stray -j DROP",
    ],
)
def test_a_rule_that_it_does_not_understand_is_refused(rule: str) -> None:
    with pytest.raises(UnknownRuleError):
        parse_rule(rule)


def test_a_jump_to_nowhere_is_refused() -> None:
    with pytest.raises(UnknownRuleError, match="KUBE-NOWHERE"):
        Tracer({"nat": {"PREROUTING": ["-A PREROUTING -j KUBE-NOWHERE"]}}, ())


@pytest.mark.parametrize("line", ["-X KUBE-SVC-A", "-I INPUT -j DROP", "nonsense"])
def test_text_that_edits_is_no_rule_set(line: str) -> None:
    with pytest.raises(RuleSyntaxError):
        parse_tables(f"*nat\n{line}\nCOMMIT\n")


def test_the_spelling_of_kube_proxy_is_understood_too() -> None:
    text = (
        "*nat\n:KUBE-MARK-MASQ - [0:0]\n"
        "-A PREROUTING -j KUBE-MARK-MASQ\n"
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n"
        "-A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
        "-A POSTROUTING -j MARK --xor-mark 0x4000\n"
        "-A POSTROUTING -j MASQUERADE --random-fully\nCOMMIT\n"
    )
    (outcome,) = Tracer(parse_tables(text), ()).from_wire(DIAL)
    assert outcome.packet.masqueraded
    assert outcome.packet.mark == 0


def test_a_client_that_is_remembered_gets_its_backend_again() -> None:
    trace = tracer(table_of(snapshot_of("base"), "n3"))
    first = trace.from_wire(DIAL)
    assert [outcome.probability for outcome in first] == pytest.approx([0.5, 0.5])
    for outcome in first:
        (again,) = trace.from_wire(DIAL, recent=outcome.packet.remembered)
        assert again.destination == outcome.destination
        assert again.packet.remembered == outcome.packet.remembered


def test_the_rules_hit_tell_the_way_in_order() -> None:
    trace = tracer(table_of(snapshot_of("base"), "n3"))
    outcome = trace.from_wire(replace(DIAL, dst=a.SOLO))[0]
    chains = [rule.split(" ")[1] for rule in outcome.rules]
    assert [chain[:9] for chain in chains[:4]] == [
        "PREROUTIN",
        "KUBE-SERV",
        "KUBE-SVC-",
        "KUBE-SEP-",
    ]


def test_everything_is_masqueraded_where_the_proxy_is_told_to() -> None:
    table = table_of(snapshot_of("base"), "n3")
    config = replace(table.config, masquerade_all=True)
    told = tracer(replace(table, config=config)).from_wire(DIAL)
    assert all(outcome.packet.masqueraded for outcome in told)
    assert not any(outcome.packet.masqueraded for outcome in tracer(table).from_wire(DIAL))


def test_without_a_cluster_cidr_nobody_counts_as_foreign() -> None:
    table = table_of(snapshot_of("base"), "n3")
    config = replace(table.config, cluster_cidr="")
    outside = replace(DIAL, src=PLAN.hosts["client"])
    blind = tracer(replace(table, config=config)).from_wire(outside)
    assert not any(outcome.packet.masqueraded for outcome in blind)
    assert all(outcome.packet.masqueraded for outcome in tracer(table).from_wire(outside))


def test_the_loopback_is_closed_to_packets_from_the_wire() -> None:
    trace = tracer(table_of(snapshot_of("base"), "n3"))
    martian = replace(DIAL, dst="127.0.0.1", dport=22)
    (outcome,) = trace.from_wire(martian)
    assert outcome.verdict == "dropped"
    (own,) = trace.from_node(replace(martian, src="127.0.0.1"))
    assert own.verdict == "accepted"
