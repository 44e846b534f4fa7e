"""The tracer refuses what it does not understand, and follows what it does."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from testbed.proxy.nft_rules import parse_rule
from testbed.proxy.nft_tracer import NftTracer
from testbed.proxy.nftables import NftablesBackend
from testbed.proxy.packet import Packet, UnknownRuleError
from tests.addresses import PLAN, STICKY, WEB
from tests.unit.proxy.nft_states import table_for

BACKEND = NftablesBackend()
NAT = "type nat hook prerouting priority -100; policy accept;"
FILTER = "type filter hook forward priority 0; policy accept;"
PACKET = Packet("tcp", "192.0.2.100", "10.96.0.1", 80)


def tracer(**chains: tuple[str, ...]) -> NftTracer:
    return NftTracer({"ip t": {f"chain {name}": lines for name, lines in chains.items()}}, ())


def planned(state: str = "base") -> NftTracer:
    return NftTracer(BACKEND.plan(table_for(state)).tables, [PLAN.nodes["n1"]])


@pytest.mark.parametrize(
    "rule",
    [
        "counter",
        "tcp dport 80 accept",
        "ip daddr 10.96.0.1",
        "ip saddr 10.0.0.0/8 limit rate 1/second drop",
        "mark set mark or 0x4000 ip saddr 10.0.0.0/8 drop",
        "meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.0.0.1 . 80 }",
        "meta l4proto tcp dnat ip addr . port to numgen inc mod 1 map { 0 : 10.0.0.1 . 80 }",
        "iifname eth0 masquerade fully-random",
        "masquerade",
        "ct state established accept",
        "",
    ],
)
def test_a_rule_that_is_not_understood_is_refused(rule: str) -> None:
    with pytest.raises(UnknownRuleError):
        parse_rule(rule)


@pytest.mark.parametrize(
    "chains",
    [
        {"a": (NAT, "jump nowhere")},
        {"a": (NAT, "ip daddr . meta l4proto . th dport vmap @none")},
        {"a": ("type filter hook input priority 0; policy drop;",)},
        {"a": ("type route hook output priority 0; policy accept;",)},
    ],
)
def test_a_table_that_is_not_whole_is_refused(chains: Mapping[str, tuple[str, ...]]) -> None:
    with pytest.raises(UnknownRuleError):
        tracer(**chains)


def test_a_chain_gone_to_does_not_come_back_and_one_jumped_to_does() -> None:
    marks = ("mark set mark or 0x1",)
    went = tracer(a=(NAT, "jump b", "mark set mark or 0x8"), b=("goto c", "drop"), c=marks)
    (outcome,) = went.from_wire(PACKET)
    assert (outcome.verdict, outcome.packet.mark) == ("accepted", 0x9)
    assert outcome.rules == ("jump b", "goto c", "mark set mark or 0x1", "mark set mark or 0x8")


def test_a_translation_ends_its_base_chain_only() -> None:
    found = tracer(
        a=(NAT, "dnat to 10.244.1.10:8080", "drop"), b=(FILTER, "ip daddr 10.244.1.10 reject")
    )
    (outcome,) = found.from_wire(PACKET)
    assert (outcome.verdict, outcome.destination) == ("rejected", "10.244.1.10:8080")


def test_base_chains_run_by_their_priority() -> None:
    late = FILTER.replace("priority 0", "priority 5")
    found = tracer(a=(late, "drop"), b=(FILTER, "reject"))
    assert [one.verdict for one in found.from_wire(PACKET)] == ["rejected"]


def test_each_endpoint_is_as_likely() -> None:
    outcomes = planned().from_wire(Packet("tcp", PLAN.pods["dialer-1"], WEB, 80))
    assert {one.destination: one.probability for one in outcomes} == {
        f"{PLAN.pods['web-0']}:8080": 0.5,
        f"{PLAN.pods['web-1']}:8080": 0.5,
    }


def test_a_client_that_is_remembered_goes_where_it_was() -> None:
    packet = Packet("tcp", PLAN.pods["dialer-1"], STICKY, 80)
    first = planned().from_wire(packet)
    assert len(first) > 1
    for outcome in first:
        (again,) = planned().from_wire(packet, outcome.packet.remembered)
        assert again.destination == outcome.destination


def test_a_read_back_table_traces_like_the_planned_one() -> None:
    """The listing of one chain, as nft prints it."""
    text = (
        "table ip kube-proxy {\n\tchain a {\n"
        "\t\ttype nat hook prerouting priority -100; policy accept;\n"
        "\t\tmeta mark set meta mark | 0x00004000\n"
        "\t\tmeta l4proto tcp dnat ip to numgen random mod 1 map { 0 : 10.244.1.10 . 8080 }\n"
        "\t}\n}\n"
    )
    (outcome,) = NftTracer(BACKEND.parse(text).own.tables, ()).from_wire(PACKET)
    assert (outcome.packet.mark, outcome.destination) == (0x4000, "10.244.1.10:8080")
