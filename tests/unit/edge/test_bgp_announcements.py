"""Which nodes tell routers of which addresses, and what their BIRD is told for it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from testbed.edge.balanced import Balanced
from testbed.edge.bgp import announced_by, heard_by
from testbed.fabric.plan import plan
from testbed.model.topology import Topology
from testbed.podnet.network import Daemon, Member, Site
from testbed.podnet.networks import network_of, router_daemons
from tests.unit.test_bgp import said_by_bird

WEB, NEAR = ip_network("198.51.100.0/32"), ip_network("198.51.100.1/32")
SERVICES = (
    Balanced("default/near", (ip_address("198.51.100.1"),), (), True, ("n2",), 0, False, ()),
    Balanced("default/web", (ip_address("198.51.100.0"),), (), False, ("n1", "n2"), 0, False, ()),
    Balanced("default/none", (ip_address("198.51.100.2"),), (), False, (), 0, False, ()),
)
VALUES: dict[str, Any] = {
    "name": "a",
    "nodes": {"n1": {}, "n2": {}},
    "hosts": {"client": {}},
    "routers": {"tor": {"asn": 65001}, "deaf": {}, "far": {"asn": 65002}},
    "links": [{"endpoints": [end, "switch"]} for end in ("n1", "n2", "tor", "deaf")]
    + [
        {"endpoints": ["tor", "far"]},
        {"endpoints": ["client", "far"]},
        {"endpoints": ["deaf", "far"]},
    ],
    "loadBalancer": {
        "provider": "bgp",
        "addresses": ["198.51.100.0/30", "198.51.100.8-198.51.100.9"],
    },
}
MEMBERS = tuple(
    Member(name, (ip_address(ip),), (ip_network(pods),))
    for name, ip, pods in (
        ("n1", "172.18.0.2", "10.244.0.0/24"),
        ("n2", "172.18.0.3", "10.244.1.0/24"),
    )
)


def lab(cni: str, provider: str = "bgp") -> Topology:
    values = {**VALUES, "network": {"cni": cni}}
    if provider != "bgp":
        del values["loadBalancer"]
    return Topology.model_validate(values)


def daemon(cni: str, *services: Any, provider: str = "bgp") -> Daemon | None:
    """What n1 runs."""
    site = Site("n1", (ip_interface("172.18.0.2/24"),), 1500, tuple(services))
    return network_of(lab(cni, provider)).plan(site, MEMBERS).daemon


def block(text: str, head: str) -> list[str]:
    """The lines of a block of a configuration."""
    after = text.split(f"\n{head} {{\n", 1)[1]
    return [line.strip() for line in after.split("\n}", 1)[0].splitlines()]


def test_nodes_tell_of_what_they_may_be_sent() -> None:
    assert announced_by("n1", SERVICES) == {WEB: "default/web"}
    assert announced_by("n2", SERVICES) == {WEB: "default/web", NEAR: "default/near"}
    assert announced_by("n3", SERVICES) == {}


def test_routers_beside_nodes_that_speak_bgp_hear_of_it() -> None:
    told = {"n1": [WEB], "n2": [WEB, NEAR]}
    fabric = plan(lab("host-gw"))
    assert set(heard_by(fabric, told)) == {("tor", WEB, 2), ("tor", NEAR, 1)}


@pytest.mark.parametrize("cni", ["host-gw", "vxlan", "weave", "bgp"])
def test_a_node_tells_of_its_services_and_keeps_them_out_of_its_kernel(cni: str) -> None:
    found = daemon(cni, WEB, NEAR)
    assert found is not None
    assert "tor" in found.peers.values()
    assert block(found.config, "protocol static services4") == [
        "ipv4;",
        f"route {WEB} unreachable;",
        f"route {NEAR} unreachable;",
    ]
    assert block(found.config, "filter to_peers4")[0] == 'if proto = "services4" then accept;'
    assert 'if proto = "services4" then reject;' in block(found.config, "filter to_kernel4")


def test_beside_another_pod_network_it_believes_nothing() -> None:
    found = daemon("host-gw")
    assert found is not None
    assert "import none;" in found.config
    assert set(found.peers.values()) == {"tor"}


def test_with_cni_bgp_it_believes_of_pods_alone() -> None:
    found = daemon("bgp")
    assert found is not None
    assert "import where net ~ 10.244.0.0/16;" in found.config
    assert "198.51" not in found.config


def test_without_the_provider_nothing_is_said_of_services() -> None:
    found = daemon("bgp", provider="none")
    assert found is not None
    assert "services" not in found.config
    assert daemon("host-gw", provider="none") is None


def test_routers_believe_and_tell_of_the_pools() -> None:
    daemons = router_daemons(lab("host-gw"))
    assert sorted(daemons) == ["far", "tor"]
    believed = "import where net ~ 198.51.100.0/30 || net ~ 198.51.100.8/31;"
    assert believed in daemons["tor"].config
    both = router_daemons(lab("bgp"))["tor"].config
    assert "import where net ~ 10.244.0.0/16 || net ~ 198.51.100.0/30" in both


@pytest.mark.parametrize("cni", ["host-gw", "bgp"])
def test_bird_reads_all_of_it(cni: str) -> None:
    own = daemon(cni, WEB)
    assert own is not None
    for one in (own, *router_daemons(lab(cni)).values()):
        assert said_by_bird(one.config) == (0, "")


def test_what_a_node_tells_of_changes_its_configuration_alone() -> None:
    before, after = daemon("host-gw"), daemon("host-gw", WEB)
    assert before is not None
    assert after is not None
    changed = set(after.config.splitlines()) ^ set(before.config.splitlines())
    assert changed == {f"  route {WEB} unreachable;"}
    assert replace(after, config=before.config) == before
