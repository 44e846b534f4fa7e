"""The IPVS tracer: what it must refuse, and what the kernel's load balancer does to a packet."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from testbed.proxy.ipvs_tracer import IpvsTracer
from testbed.proxy.packet import Packet, UnknownRuleError
from tests.addresses import EMPTY, PLAN, STICKY, UNUSED, WEB
from tests.unit.proxy.test_ipvs_properties import plan

NODE = {PLAN.nodes["n1"]}
DIAL = Packet("tcp", PLAN.pods["dialer-1"], WEB, 80)
Tables = dict[str, Mapping[str, tuple[str, ...]]]


def tables(scheduler: str = "rr", **changed: Mapping[str, tuple[str, ...]]) -> Tables:
    return {**plan("base", scheduler).tables, **changed}


@pytest.mark.parametrize(
    "server",
    [
        ("-A -t 10.0.0.1:80 -s new",),
        ("-A -t 10.0.0.1:80 -s rr -M 255.255.255.0",),
        ("-A -t 10.0.0.1:80 -s sh -b sh-port",),
        ("-A -t 10.0.0.1:80 -s rr", "-a -t 10.0.0.1:80 -r 10.244.1.1:80 -g -w 1"),
        ("-A -t 10.0.0.1:80 -s rr", "-a -t 10.0.0.1:80 -r 10.244.1.1:80 -m -w 0"),
    ],
)
def test_a_server_that_it_does_not_understand_is_refused(server: tuple[str, ...]) -> None:
    with pytest.raises(UnknownRuleError):
        IpvsTracer(tables(ipvs={"-t 10.0.0.1:80": server}), NODE)


def test_a_set_of_a_type_that_it_does_not_know_is_refused() -> None:
    with pytest.raises(UnknownRuleError, match="list:set"):
        IpvsTracer(tables(ipset={"X": ("create X list:set size 8",)}), NODE)


def test_a_rule_that_looks_into_no_set_is_refused() -> None:
    with pytest.raises(UnknownRuleError, match="no set"):
        IpvsTracer(tables(ipset={}), NODE).from_wire(DIAL)


@pytest.mark.parametrize("scheduler", ["sh", "dh", "fo"])
def test_a_scheduler_that_hashes_keeps_a_client(scheduler: str) -> None:
    tracer = IpvsTracer(tables(scheduler), NODE)
    for outcome in tracer.from_wire(DIAL):
        (again,) = tracer.from_wire(DIAL, outcome.packet.remembered)
        assert again.destination == outcome.destination


def test_only_affinity_keeps_a_client_of_round_robin() -> None:
    tracer = IpvsTracer(tables(), NODE)
    (first, _) = tracer.from_wire(DIAL)
    assert first.packet.remembered == ()
    sticky = Packet("tcp", DIAL.src, STICKY, 80)
    (first, _) = tracer.from_wire(sticky)
    (again,) = tracer.from_wire(sticky, first.packet.remembered)
    assert again.destination == first.destination


def test_the_node_dials_a_service_from_the_service_s_address_and_is_masqueraded() -> None:
    (one, _) = IpvsTracer(tables(), NODE).from_node(Packet("tcp", PLAN.nodes["n1"], WEB, 80))
    assert one.packet.src == WEB
    assert one.packet.masqueraded


@pytest.mark.parametrize(
    ("ip", "port", "verdict"),
    [(EMPTY, 80, "rejected"), (WEB, 81, "rejected"), (UNUSED, 80, "accepted")],
)
def test_who_has_nobody_to_go_to(ip: str, port: int, verdict: str) -> None:
    (outcome,) = IpvsTracer(tables(), NODE).from_wire(Packet("tcp", DIAL.src, ip, port))
    assert outcome.verdict == verdict
