"""What `check` says of a pod network that cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.model.topology import Topology
from testbed.podnet.consistency import mistakes

DUAL = "10.244.0.0/16,fd00:10:244::/56"
ROUTED = {
    "nodes": {"n1": {}, "n2": {}},
    "routers": {"r": {}},
    "links": [{"endpoints": [end, "r"]} for end in ("n1", "n2")],
}
TWO_SWITCHES = {
    "nodes": {"n1": {}, "n2": {}},
    "links": [{"endpoints": pair} for pair in (("n1", "s1"), ("s1", "s2"), ("s2", "n2"))],
}
DUAL_HOMED = {
    "nodes": {"n1": {}, "n2": {}},
    "links": [{"endpoints": pair} for pair in (("n1", "a"), ("n2", "b"), ("n1", "b"), ("n2", "a"))],
}


def said(network: dict[str, Any], underlay: dict[str, Any] | None = None) -> list[str]:
    topology = {
        "name": "any",
        "nodes": {"n1": {}, "n2": {}},
        "network": network,
        **(underlay or {}),
    }
    return [
        f"{'.'.join(map(str, one.path))}: {one.message}; {one.hint}"
        for one in mistakes(Topology.model_validate(topology))
    ]


@pytest.mark.parametrize("cni", ["host-gw", "vxlan", "weave"])
@pytest.mark.parametrize("underlay", [{}, TWO_SWITCHES, DUAL_HOMED])
def test_on_one_segment_all_is_well(cni: str, underlay: dict[str, Any]) -> None:
    assert said({"cni": cni}, underlay) == []


def test_host_gw_does_not_pass_routers() -> None:
    assert said({"cni": "host-gw"}, ROUTED) == [
        "network.cni: cni: host-gw needs all nodes on one segment: n2 is not on n1's; "
        "use cni: vxlan, weave or bgp, which routers pass on"
    ]
    assert said({"cni": "vxlan"}, ROUTED) == said({"cni": "weave"}, ROUTED) == []


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({"cni": "vxlan", "podMTU": 1450}, []),
        (
            {"cni": "vxlan", "podMTU": 1451},
            [
                "network.podMTU: pods' packets of 1451 bytes fit on no link of 1500: cni: vxlan adds 50 "
                "bytes to a packet; use 1450 or less, or leave it out"
            ],
        ),
        ({"cni": "host-gw", "podMTU": 1500}, []),
        (
            {"cni": "host-gw", "podMTU": 9000},
            [
                "network.podMTU: pods' packets of 9000 bytes fit on no link of 1500; "
                "use 1500 or less, or leave it out"
            ],
        ),
        (
            {"cni": "vxlan", "podCIDR": DUAL, "mtu": 1349},
            [
                "network.mtu: IPv6 needs 1280 bytes for pods, links of 1349 leave them 1279: cni: vxlan "
                "adds 70 bytes to a packet; use 1350 or more"
            ],
        ),
        ({"cni": "vxlan", "podCIDR": DUAL, "mtu": 1350}, []),
        (
            {"podCIDR": DUAL, "podMTU": 1200},
            [
                "network.podMTU: IPv6 needs links of 1280 bytes at least; "
                "use a larger one, or leave it out"
            ],
        ),
        (
            {"cni": "weave", "podCIDR": DUAL},
            [
                "network.podCIDR: cni: weave has no IPv6, as Weave Net has none; "
                "use IPv4 alone, or cni: vxlan or host-gw"
            ],
        ),
    ],
)
def test_how_long_packets_may_be(network: dict[str, Any], expected: list[str]) -> None:
    assert said(network) == expected


def test_the_links_of_nodes_bound_their_pods_packets() -> None:
    links = [{"endpoints": [end, "s"], "mtu": 1400} for end in ("n1", "n2")]
    underlay = {"nodes": {"n1": {}, "n2": {}}, "links": links}
    (found,) = said({"cni": "vxlan", "podMTU": 1450}, underlay)
    assert "fit on no link of 1400" in found
