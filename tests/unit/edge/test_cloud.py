"""A cloud's balancer: what it listens on, whom it asks how, and what its programs are told."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from testbed.edge import cloud_haproxy, cloud_ipvs, cloud_nftables
from testbed.edge.balanced import Balanced, BalancedPort
from testbed.edge.cloud import Check, Frontend, Plan, Target, plan
from testbed.edge.haproxy_text import text
from testbed.edge.spread import spread
from testbed.model.cloud import Cloud
from testbed.model.load_balancer import EXCLUDE_LABEL
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node

VIP, VIP6 = "172.18.255.200", "fd00:18::200"
N1, N2 = Target("n1", "172.18.0.2"), Target("n2", "172.18.0.3")
HEALTHZ = Check(10256, "/healthz")


def node(name: str, *ips: str, **labels: str) -> Node:
    return Node(ObjectMeta(name, labels=labels), internal_ips=ips)


NODES = [node("n1", N1.ip, "fd00:18::2"), node("n2", N2.ip, "fd00:18::3")]
WEB = Balanced(
    key="default/web",
    addresses=(ip_address(VIP),),
    ports=(BalancedPort("", "TCP", 80, 30080),),
    local=False,
    nodes=("n1", "n2"),
    health_check_node_port=0,
    session_affinity=False,
    source_ranges=(),
)
LOCAL = replace(WEB, local=True, nodes=("n1",), health_check_node_port=32000)
UDP = replace(WEB, ports=(BalancedPort("dns", "UDP", 53, 30053),))
PORTLESS = replace(WEB, ports=(BalancedPort("", "TCP", 80, 0),))


def planned(service: Balanced, **cloud: object) -> Plan:
    return plan([service], NODES, Cloud.model_validate(cloud))


def front(service: Balanced, **cloud: object) -> Frontend:
    (found,) = planned(service, **cloud).frontends
    return found


def test_every_node_is_sent_what_comes_to_the_address() -> None:
    assert front(WEB).targets == (N1, N2)
    assert (front(WEB).address, front(WEB).port, front(WEB).node_port) == (VIP, 80, 30080)


def test_of_policy_local_too_as_its_check_says_who_has_endpoints() -> None:
    assert front(LOCAL).targets == (N1, N2)


def test_an_ipv6_address_leads_to_ipv6_addresses() -> None:
    both = replace(WEB, addresses=(ip_address(VIP), ip_address(VIP6)))
    found = {one.address: one.targets for one in planned(both).frontends}
    assert found[VIP6] == (Target("n1", "fd00:18::2"), Target("n2", "fd00:18::3"))


def test_a_node_that_is_excluded_is_sent_nothing() -> None:
    nodes = [*NODES, node("n3", "172.18.0.4", **{EXCLUDE_LABEL: ""})]
    (found,) = plan([WEB], nodes, Cloud()).frontends
    assert found.targets == (N1, N2)


@pytest.mark.parametrize(
    ("service", "probe", "check"),
    [
        (WEB, "healthz", HEALTHZ),
        (WEB, "nodePort", Check(30080, "")),
        (LOCAL, "healthz", Check(32000, "/healthz")),
        (LOCAL, "nodePort", Check(32000, "/healthz")),
        (UDP, "nodePort", HEALTHZ),
    ],
)
def test_what_a_node_is_asked(service: Balanced, probe: str, check: Check) -> None:
    assert front(service, program="ipvs", healthCheck={"probe": probe}).check == check


@pytest.mark.parametrize(
    ("service", "program", "why"),
    [
        (UDP, "haproxy", "haproxy balances no UDP"),
        (PORTLESS, "haproxy", "port 80 has none"),
        (UDP, "nftables", ""),
        (PORTLESS, "nftables", ""),
        (PORTLESS, "ipvs", ""),
    ],
)
def test_what_a_program_cannot_serve(service: Balanced, program: str, why: str) -> None:
    refused = planned(service, program=program).refused
    assert bool(refused) == bool(why)
    assert all(why in one.message for one in refused)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, (8.0, 1.0, 1, 3)),
        ({"like": "aws"}, (10.0, 5.0, 2, 6)),
        ({"like": "azure"}, (5.0, 5.0, 1, 2)),
        ({"like": "aws", "interval": "2s", "unhealthyThreshold": 1}, (2.0, 5.0, 2, 1)),
    ],
)
def test_how_often_a_node_is_asked(said: dict[str, object], expected: tuple[float, ...]) -> None:
    found = planned(WEB, healthCheck=said).cadence
    assert expected == (
        found.interval_s,
        found.timeout_s,
        found.healthy_threshold,
        found.unhealthy_threshold,
    )


def test_haproxy_is_told() -> None:
    service = replace(LOCAL, session_affinity=True, source_ranges=("10.0.0.0/8", "fd00::/8"))
    told = text(cloud_haproxy.configuration(planned(service), proxy_protocol=True))
    name = "web.default-tcp-172.18.255.200-80"
    assert told.endswith(
        f"""
frontend {name}
    bind 172.18.255.200:80
    tcp-request connection reject if !{{ src 10.0.0.0/8 }}
    default_backend {name}

backend {name}
    balance source
    option httpchk GET /healthz
    http-check expect status 200
    server s1 172.18.0.2:30080 check port 32000 inter 8000ms rise 1 fall 3 send-proxy-v2
    server s2 172.18.0.3:30080 check port 32000 inter 8000ms rise 1 fall 3 send-proxy-v2
"""
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "is DOWN, reason: Layer4 timeout, check duration: 1000ms. 1 active",
            (False, "Layer4 timeout"),
        ),
        ("is UP, reason: Layer7 check passed, code: 200", (True, "Layer7 check passed")),
    ],
)
def test_what_haproxy_says_of_a_node(line: str, expected: tuple[bool, str]) -> None:
    whole = f"<129>Nov 22: Server web.default-tcp-172.18.255.200-80/s2 {line}"
    change = cloud_haproxy.change_of(whole, planned(WEB))
    assert change == (front(WEB), N2, *expected)


def test_what_it_says_of_itself_is_nothing_of_nodes() -> None:
    for line in ("Proxy web started.", "Server elsewhere/s1 is DOWN", "backend x has no server"):
        assert cloud_haproxy.change_of(line, planned(WEB)) is None


def script(have: cloud_nftables.Rules | None, want: cloud_nftables.Rules) -> list[str]:
    return [one.stdin for one in cloud_nftables.commands(have, want, "eth0")]


def test_nftables_remembers_flows_and_forwards_by_mac_address() -> None:
    rules = cloud_nftables.rules(spread(planned(WEB), ()), "eth0")
    name = "web.default-tcp-172.18.255.200-80"
    assert rules.entry == (
        f"ip daddr . meta l4proto . th dport vmap {{ 172.18.255.200 . tcp . 80 : goto {name} }}",
    )
    assert rules.chains == {
        f"{name}-n1": (
            f"update @{name}-n1 {{ ip saddr . th sport }}",
            'fwd ip to 172.18.0.2 device "eth0"',
        ),
        f"{name}-n2": (
            f"update @{name}-n2 {{ ip saddr . th sport }}",
            'fwd ip to 172.18.0.3 device "eth0"',
        ),
        name: (
            f"ip saddr . th sport @{name}-n1 goto {name}-n1",
            f"ip saddr . th sport @{name}-n2 goto {name}-n2",
            f"numgen inc mod 2 vmap {{ 0 : goto {name}-n1, 1 : goto {name}-n2 }}",
        ),
    }


def test_a_node_that_is_ill_keeps_its_flows_and_gets_no_new_ones() -> None:
    (one,) = spread(planned(WEB), {(N1, HEALTHZ)})
    *kept, new = cloud_nftables.rules([one], "eth0").chains[one.frontend.name]
    assert [line.rpartition("-")[2] for line in kept] == ["n1", "n2"]
    assert new.startswith("numgen inc mod 1 vmap { 0 : goto ")
    assert new.endswith("-n2 }")


def test_where_all_are_ill_nobody_gets_new_ones() -> None:
    (one,) = spread(planned(WEB), {(N1, HEALTHZ), (N2, HEALTHZ)})
    assert len(cloud_nftables.rules([one], "eth0").chains[one.frontend.name]) == 2


def test_a_sticky_client_is_known_by_its_address() -> None:
    (one,) = spread(planned(replace(WEB, session_affinity=True)), ())
    *_, new = cloud_nftables.rules([one], "eth0").chains[one.frontend.name]
    assert new.startswith("jhash ip saddr mod 2 vmap")


def test_nftables_keeps_the_flows_of_who_stays() -> None:
    whole = cloud_nftables.rules(spread(planned(WEB), ()), "eth0")
    without = cloud_nftables.rules(spread(planned(WEB), {(N1, HEALTHZ)}), "eth0")
    (change,) = script(whole, without)
    assert "set" not in change.split()
    assert not script(whole, whole)


def test_nftables_deletes_what_is_gone_once_nothing_goes_there() -> None:
    whole = cloud_nftables.rules(spread(planned(WEB), ()), "eth0")
    nothing = cloud_nftables.rules((), "eth0")
    first, second = script(whole, nothing)
    assert "delete" not in first
    assert second.count("delete chain") == 3
    assert second.count("delete set") == 2


def test_ipvs_routes_directly_and_lets_go_by_weight() -> None:
    both, one = spread(planned(WEB), ()), spread(planned(WEB), {(N1, HEALTHZ)})
    (fresh,) = cloud_ipvs.commands({}, cloud_ipvs.services(both))
    assert fresh.stdin == (
        "-A -t 172.18.255.200:80 -s rr\n"
        "-a -t 172.18.255.200:80 -r 172.18.0.2:80 -g -w 1\n"
        "-a -t 172.18.255.200:80 -r 172.18.0.3:80 -g -w 1\n"
    )
    (change,) = cloud_ipvs.commands(cloud_ipvs.services(both), cloud_ipvs.services(one))
    assert change.stdin == "-e -t 172.18.255.200:80 -r 172.18.0.2:80 -g -w 0\n"
    (gone,) = cloud_ipvs.commands(cloud_ipvs.services(both), {})
    assert gone.stdin == "-D -t 172.18.255.200:80\n"
    assert cloud_ipvs.commands(cloud_ipvs.services(both), cloud_ipvs.services(both)) == ()
