"""What BGP speakers are told: golden configurations, each read by BIRD itself; what a log line means."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from testbed.kernel.features import tool_path
from testbed.model.bgp import BGP
from testbed.model.topology import Topology
from testbed.podnet.bgp import BorderGateway, router_id
from testbed.podnet.bird import StateChange, state_change
from testbed.podnet.network import Daemon, Member, NodeNetwork, Site

NODES = {"n1": 2, "n2": 3, "n-3": 4}
GOLDEN = """\
# n2: written by testbed, and again whenever the cluster changes
log "bird.log" all;
log stderr { info, trace, warning, error, auth, fatal, bug };
timeformat log iso long us;
router id 172.18.0.3;
debug protocols { states };
protocol device {
  scan time 10;
}

filter to_kernel4 {
  if source = RTS_BGP then { krt_prefsrc = 172.18.0.3; accept; }
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
  scan time 10;
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
protocol bgp Mesh_172_18_0_2 {
  description "n1";
  local 172.18.0.3 as 64512;
  neighbor 172.18.0.2 as 64512;
  multihop;
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


def planned(name: str, lab: Topology, among: Sequence[Member] | None = None) -> NodeNetwork:
    everybody = members(lab.network.families) if among is None else among
    links = tuple(ip_interface(f"{one}/16") for one in everybody[0].addresses)
    return BorderGateway(lab).plan(Site(name, links, 1500), everybody)


def daemon(name: str, lab: Topology, among: Sequence[Member] | None = None) -> Daemon:
    found = planned(name, lab, among).daemon
    assert found is not None
    return found


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
    done = subprocess.run(
        ["bird", "-p", "-c", "/dev/stdin"],
        input=config,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": tool_path()},
    )
    assert (done.returncode, done.stderr) == (0, "")


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
