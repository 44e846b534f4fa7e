"""What BGP speakers are told: golden configurations, each read by BIRD itself; what a log line means."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from testbed.fabric.plan import plan
from testbed.kernel.search_path import tool_path
from testbed.model.addressing import plan_addresses
from testbed.model.bgp import BGP
from testbed.model.loader import load
from testbed.model.topology import Topology
from testbed.podnet.bgp import MOST_WITH_ARP, BorderGateway, router_id
from testbed.podnet.bird import StateChange, state_change
from testbed.podnet.masquerade import commands
from testbed.podnet.network import Daemon, Member, NodeNetwork, Site
from tests.lab.outer import ROOT

NODES = {"n1": 2, "n2": 3, "n-3": 4}
GOLDEN = """\
# n2: written by testbed, and again whenever the cluster changes
log "bird.log" all;
log stderr { info, trace, warning, error, auth, fatal, bug };
timeformat log iso long us;
router id 172.18.0.3;
debug protocols { states };
protocol device {
  scan time 2;
}

filter to_kernel4 {
  if source = RTS_BGP then accept;
  if source = RTS_STATIC then accept;  # packets for a pod that is gone end here
  reject;
}
filter to_peers4 {
  if net = 10.244.3.0/24 then accept;
  if net ~ 10.244.3.0/24 then reject;  # the range stands for its pods
  if source = RTS_BGP then reject;
  if net ~ 10.244.0.0/16 then accept;
  reject;
}
protocol direct direct4 {
  ipv4;
  interface -"pod*", "*";
}
protocol kernel kernel4 {
  learn;
  persist;
  scan time 2;
  graceful restart;
  merge paths on;
  ipv4 {
    import all;
    export filter to_kernel4;
  };
}
protocol static ranges4 {
  ipv4;
  route 10.244.3.0/24 blackhole;
}
template bgp session4 {
  connect delay time 1;
  connect retry time 3;
  error wait time 5, 60;
  hold time 240;
  keepalive time 80;
  graceful restart;
  graceful restart time 120;
  ipv4 {
    import where net ~ 10.244.0.0/16;
    export filter to_peers4;
  };
}
protocol bgp Mesh_172_18_0_2 from session4 {
  description "n1";
  local 172.18.0.3 as 64512;
  neighbor 172.18.0.2 as 64512;
  multihop;
}
"""


def topology(**network: Any) -> Topology:
    nodes: dict[str, Any] = {name: {} for name in NODES}
    return Topology.model_validate(
        {"name": "t", "nodes": nodes, "network": {"cni": "bgp", **network}}
    )


def members(families: Sequence[int] = (4,)) -> list[Member]:
    base = {4: ("172.18.0.{}", "10.244.{}.0/24"), 6: ("fd00:10:18::{}", "fd00:10:244:{}::/64")}
    return [
        Member(
            name,
            tuple(ip_address(base[family][0].format(number)) for family in families),
            tuple(ip_network(base[family][1].format(number)) for family in families),
        )
        for name, number in NODES.items()
    ]


def everybody_of(lab: Topology) -> list[Member]:
    """The members of a lab as its address plan has them."""
    return [
        Member(name, tuple(map(ip_address, own.ips)), tuple(map(ip_network, own.pod_cidrs)))
        for name, own in plan_addresses(lab).nodes.items()
    ]


def planned(name: str, lab: Topology, among: Sequence[Member] | None = None) -> NodeNetwork:
    everybody = members(lab.network.families) if among is None else among
    links = tuple(ip_interface(f"{one}/16") for one in everybody[0].addresses)
    return BorderGateway(lab).plan(Site(name, links, 1500), everybody)


def daemon(name: str, lab: Topology, among: Sequence[Member] | None = None) -> Daemon:
    found = planned(name, lab, among).daemon
    assert found is not None
    return found


def said_by_bird(config: str) -> tuple[int, str]:
    """Its code and its complaint about a configuration."""
    done = subprocess.run(
        ["bird", "-p", "-c", "/dev/stdin"],
        input=config,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": tool_path()},
    )
    return done.returncode, done.stderr


def sections(config: str, kind: str) -> list[str]:
    """The blocks of a configuration that begin with `kind`."""
    return [kind + part.split("\n}", 1)[0] for part in config.split(f"\n{kind}")[1:]]


def test_a_node_of_the_mesh_is_told_of_its_range_and_its_peers() -> None:
    assert daemon("n2", topology(), members()[:2]).config == GOLDEN


DUAL = {"podCIDR": "10.244.0.0/16,fd00:10:244::/48", "nodeCIDR": "172.18.0.0/16,fd00:10:18::/64"}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bfd": {"bgp": {"bfd": {"interval": "100ms", "multiplier": 5}}},
    "no graceful restart": {"bgp": {"gracefulRestart": False}},
    "short timers": {"bgp": {"holdTime": "9s", "keepaliveTime": "2s", "maxRestartTime": "15s"}},
    "reflectors": {"bgp": {"routeReflectors": ["n1", "n2"]}},
    "own AS": {"bgp": {"asNumber": 4_200_000_001}},
    "dual stack": DUAL,
    "IPv6": {"podCIDR": "fd00:10:244::/48", "nodeCIDR": "fd00:10:18::/64"},
}


@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_bird_reads_what_it_is_told(variant: str, name: str) -> None:
    config = daemon(name, topology(**VARIANTS[variant])).config
    assert said_by_bird(config) == (0, "")


def test_of_two_nodes_the_one_with_the_higher_address_connects() -> None:
    lab = topology(**DUAL)
    passive = {
        (name, peer)
        for name in NODES
        for section in sections(daemon(name, lab).config, "protocol bgp")
        if "passive;" in section
        for peer in NODES
        if f'description "{peer}"' in section
    }
    assert passive == {("n1", "n2"), ("n1", "n-3"), ("n2", "n-3")}


def test_a_session_of_each_family_with_each_node() -> None:
    peers = daemon("n1", topology(**DUAL)).peers
    assert peers == {
        "Mesh_172_18_0_3": "n2",
        "Mesh_fd00_10_18__3": "n2",
        "Mesh_172_18_0_4": "n-3",
        "Mesh_fd00_10_18__4": "n-3",
    }


def test_with_route_reflectors_others_are_peers_of_them_alone() -> None:
    lab = topology(bgp={"routeReflectors": ["n1"]})
    assert set(daemon("n2", lab).peers.values()) == {"n1"}
    reflector = daemon("n1", lab)
    assert set(reflector.peers.values()) == {"n2", "n-3"}
    assert reflector.config.count("rr client;") == 2
    assert "if source = RTS_BGP then reject;" not in reflector.config
    assert "rr client" not in daemon("n2", lab).config


RACKS = load(ROOT / "topologies/bgp-racks.yaml")


def in_racks(**nodes: dict[str, Any]) -> tuple[dict[str, Daemon], Topology]:
    """All speakers of the shipped topology, with more said of its nodes."""
    specs = {
        name: {**spec.model_dump(by_alias=True), **nodes.get(name, {})}
        for name, spec in RACKS.nodes.items()
    }
    lab = Topology.model_validate({**RACKS.model_dump(by_alias=True), "nodes": specs})
    network, fabric = BorderGateway(lab), plan(lab)
    everybody = everybody_of(lab)
    found = network.routers()
    for one in everybody:
        site = Site(one.name, fabric.machine(one.name).all_addresses, 1500)
        speaks = network.plan(site, everybody).daemon
        assert speaks is not None
        found[one.name] = speaks
    return found, lab


def test_nodes_peer_with_the_routers_of_their_racks_and_those_with_the_spines() -> None:
    peers = {name: sorted(one.peers.values()) for name, one in in_racks()[0].items()}
    assert peers == {
        "n1": ["tor1", "tor2"],
        "n2": ["tor1"],
        "n3": ["tor2"],
        "n4": ["tor2"],
        "tor1": ["n1", "n2", "spine1", "spine2"],
        "tor2": ["n1", "n3", "n4", "spine1", "spine2"],
        "spine1": ["tor1", "tor2"],
        "spine2": ["tor1", "tor2"],
    }


def test_nodes_of_one_as_in_several_racks_take_paths_with_their_own_number() -> None:
    found = in_racks()[0]
    assert "allow local as 1;" in found["n2"].config
    assert not any("allow local as" in found[name].config for name in ("tor1", "spine1"))
    assert "if source = RTS_BGP then reject;" in found["n1"].config  # it is no way between routers


def test_a_router_reflects_among_the_nodes_of_its_own_as() -> None:
    """Calico's AS per rack."""
    found = in_racks(n2={"asn": 65001})[0]
    assert "allow local as" not in found["n2"].config
    (inside,) = [one for one in sections(found["tor1"].config, "protocol bgp") if '"n2"' in one]
    assert "rr client;" in inside
    assert "next hop self ebgp;" in inside
    assert found["tor1"].config.count("rr client;") == 1


def test_every_speaker_of_the_racks_is_read_by_bird() -> None:
    for daemons in (in_racks()[0], in_racks(n2={"asn": 65001}, n1={"asn": 65001})[0]):
        for one in daemons.values():
            assert said_by_bird(one.config) == (0, "")


def test_nodes_behind_routers_that_speak_no_bgp_are_named() -> None:
    values = RACKS.model_dump(by_alias=True)
    values["routers"]["tor2"]["asn"] = None
    lab = Topology.model_validate(values)
    (mistake,) = BorderGateway(lab).mistakes(lab)
    assert mistake.message == "no BGP speaker leads from n1 to the pods of n3, n4"
    assert BorderGateway(RACKS).mistakes(RACKS) == []
    nobody = topology(bgp={"nodeToNodeMeshEnabled": False})
    (mistake,) = BorderGateway(nobody).mistakes(nobody)
    assert mistake.message == "no BGP speaker leads from n1 to the pods of n2, n-3"


def test_a_node_awaits_every_range_but_its_own() -> None:
    awaited = {str(pods) for pods in planned("n1", topology()).awaits}
    assert awaited == {"10.244.3.0/24", "10.244.4.0/24"}


def test_no_pod_is_led_away_by_hand() -> None:
    site = Site("n1", (ip_interface("172.18.0.2/16"),), 1500)
    away = {ip_address("10.244.3.9"): "n1"}
    everybody = {member.name: member for member in members()}
    assert BorderGateway(topology()).detours(site, everybody, away) == frozenset()


@pytest.mark.parametrize(
    ("addresses", "wanted"),
    [(["fd00::2", "10.0.0.7"], "10.0.0.7"), (["fd00::2"], "235.121.84.236")],
)
def test_a_router_id_has_32_bits_whatever_the_family(addresses: list[str], wanted: str) -> None:
    found = router_id("n1", [ip_address(address) for address in addresses])
    assert found == wanted


def test_reflectors_that_are_no_nodes_are_named() -> None:
    lab = topology(bgp={"routeReflectors": ["n1", "n4"]})
    (mistake,) = BorderGateway(lab).mistakes(lab)
    assert mistake.path == ("network", "bgp", "routeReflectors", 1)
    assert "there is no node n4" in mistake.message


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"holdTime": "2s"}, "holdTime must be 3s at least"),
        ({"holdTime": "4500ms"}, "no whole number of seconds"),
        ({"holdTime": "9s", "keepaliveTime": "9s"}, "keepaliveTime must be shorter"),
        ({"routeReflectors": ["a"], "nodeToNodeMeshEnabled": True}, "take the place of"),
        ({"asNumber": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_bgp_does_not_know_are_refused(
    values: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        BGP.model_validate(values)


UP = "2026-11-21 21:39:41.854810 <TRACE> Mesh_10_192_0_3: State changed to up"


def test_a_line_of_the_log_tells_when_a_session_changed() -> None:
    change = state_change(UP)
    assert change == StateChange(1_795_297_181_854_810, "Mesh_10_192_0_3", "up")
    assert change.is_up
    assert not replace(change, state="start").is_up
    assert state_change("2026-11-21 21:39:40.697585 <TRACE> device1: Starting") is None
    assert state_change("bird: bird.conf:15:3 syntax error") is None


@pytest.mark.parametrize(("nodes", "known"), [(MOST_WITH_ARP, 0), (MOST_WITH_ARP + 1, 16)])
def test_a_large_mesh_asks_nobody_for_mac_addresses(nodes: int, known: int) -> None:
    names = [f"n{number}" for number in range(nodes)]
    lab = Topology.model_validate(
        {"name": "t", "nodes": {name: {} for name in names}, "network": {"cni": "bgp"}}
    )
    everybody = everybody_of(lab)
    found = planned("n0", lab, everybody).neighbours
    assert len(found) == known
    fabric = plan(lab)
    for one in found:
        (interface,) = (
            machine.interfaces[0]
            for machine in fabric.machines
            if machine.kind == "node" and machine.addresses[0].ip == one.address
        )
        assert (one.mac, one.device) == (interface.mac, "eth0")


def test_pods_are_hidden_from_what_is_outside_unless_the_file_says_otherwise() -> None:
    (hidden,) = planned("n1", topology()).masquerade
    (command,) = commands([hidden], "iptables-nft")
    assert (
        '-A cali-nat-outgoing -s 10.244.0.0/16 ! -d 10.244.0.0/16 -m comment --comment "natOutgoing" '
        "-j MASQUERADE --random-fully"
    ) in command.stdin
    assert planned("n1", topology(ipMasq=False)).masquerade == ()
