"""Masquerading rules: whom which network hides, and how the tools spell it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

import pytest

from testbed.ip import IPAddress, IPNetwork
from testbed.podnet.masquerade import commands, flannel, needs, weave
from testbed.podnet.network import MasqueradeRule, Match

POD, NEAR, FAR, OUTSIDE, MULTICAST = (
    "10.244.1.2",
    "10.244.1.3",
    "10.244.2.3",
    "172.18.0.9",
    "224.0.0.9",
)
OWN, CLUSTER = ip_network("10.244.1.0/24"), ip_network("10.244.0.0/16")


def is_in(address: IPAddress, match: Match | None) -> bool:
    return match is None or (address in match.network) != match.outside


def hides(rules: Iterable[MasqueradeRule], source: str, destination: str) -> bool:
    """What a chain does with a packet: the first rule that fits decides."""
    ends = ip_address(source), ip_address(destination)
    for rule in rules:
        if is_in(ends[0], rule.source) and is_in(ends[1], rule.destination):
            return rule.hide
    return False


@pytest.mark.parametrize(
    ("source", "destination", "hidden"),
    [
        (POD, NEAR, False),
        (POD, FAR, False),
        (FAR, POD, False),
        (POD, OUTSIDE, True),
        (POD, MULTICAST, False),
        (OUTSIDE, POD, False),
        (OUTSIDE, FAR, True),
    ],
    ids=["here", "to another node", "from another node", "out", "multicast", "in", "through"],
)
def test_who_is_hidden(source: str, destination: str, hidden: bool) -> None:
    (own,) = flannel([OWN], [CLUSTER], movable=False)
    assert hides(own.rules, source, destination) is hidden
    assert hides(weave(OWN, CLUSTER).rules, source, destination) is hidden


@pytest.mark.parametrize(("movable", "hidden"), [(False, True), (True, False)])
def test_flannel_hides_a_pod_that_is_not_of_the_nodes_range(movable: bool, hidden: bool) -> None:
    (own,) = flannel([OWN], [CLUSTER], movable=movable)
    assert hides(own.rules, "10.244.3.7", FAR) is hidden


def test_a_family_each() -> None:
    both: list[IPNetwork] = [OWN, ip_network("fd01:0:0:1::/64")]
    cluster = [CLUSTER, ip_network("fd01::/48")]
    found = flannel(both, cluster, movable=False)
    assert [one.table for one in found] == ["flannel-ipv4", "flannel-ipv6"]
    assert [one.argv[0] for one in commands(found, "iptables-nft")] == [
        "iptables-nft-restore",
        "ip6tables-nft-restore",
    ]
    assert needs("iptables-legacy", (4, 6)) == {"iptables-legacy", "ip6tables-legacy"}
    assert needs("nft", (4, 6)) == {"nftables"}


def test_as_iptables_has_it() -> None:
    (command,) = commands([weave(OWN, CLUSTER)], "iptables-legacy")
    assert command.argv == ("iptables-legacy-restore", "--noflush", "-w", "5")
    note = '-m comment --comment "weave masq"'
    assert command.stdin.splitlines() == [
        "*nat",
        ":WEAVE - [0:0]",
        f"-A POSTROUTING {note} -j WEAVE",
        f"-A WEAVE -m mark --mark 0x4000/0x4000 {note} -j RETURN",
        f"-A WEAVE -d 10.244.1.0/24 {note} -j RETURN",
        f"-A WEAVE -s 10.244.0.0/16 -d 224.0.0.0/4 {note} -j RETURN",
        f"-A WEAVE ! -s 10.244.0.0/16 -d 10.244.0.0/16 {note} -j MASQUERADE --random-fully",
        f"-A WEAVE -s 10.244.0.0/16 ! -d 10.244.0.0/16 {note} -j MASQUERADE --random-fully",
        "COMMIT",
    ]


def test_as_nftables_has_it() -> None:
    (command,) = commands([weave(OWN, CLUSTER)], "nft")
    note = 'comment "weave masq"'
    assert command.stdin.splitlines() == [
        "table ip weave {",
        "  chain postrtg {",
        "    type nat hook postrouting priority srcnat; policy accept;",
        f"    meta mark & 0x4000 == 0x4000 return {note}",
        f"    ip daddr 10.244.1.0/24 return {note}",
        f"    ip saddr 10.244.0.0/16 ip daddr 224.0.0.0/4 return {note}",
        f"    ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random {note}",
        f"    ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade fully-random {note}",
        "  }",
        "}",
    ]
