"""Groups kept apart: what each switch and router is to drop."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from testbed.fabric.machine import Fabric
from testbed.fabric.partition import NO_PARTITION, Barrier, barrier
from testbed.fabric.plan import plan
from testbed.model.topology import Topology

NODES: dict[str, Any] = {"n1": {}, "n2": {}, "n3": {}}


def fabric(**keys: Any) -> Fabric:
    return plan(Topology.model_validate({"name": "lab", "nodes": NODES, **keys}))


def mac(of: Fabric, machine: str) -> str:
    return of.machine(machine).interfaces[0].mac


def split(of: Fabric, *groups: str) -> Barrier:
    networks = {
        machine.name: tuple(ip_network(one.ip) for one in machine.addresses)
        for machine in of.machines
    }
    return barrier(of, [group.split(",") for group in groups], networks)


def test_a_switch_drops_at_the_port_of_whoever_is_not_to_have_it() -> None:
    flat = fabric()
    found = split(flat, "n1,n2", "n3")
    assert found.switches["switch"] == (
        f"{NO_PARTITION}table bridge partition {{\n"
        "  chain forward {\n"
        "    type filter hook forward priority -400;\n"
        f'    oifname "to-n1" ether saddr {{ {mac(flat, "n3")} }} drop\n'
        f'    oifname "to-n2" ether saddr {{ {mac(flat, "n3")} }} drop\n'
        f'    oifname "to-n3" ether saddr {{ {mac(flat, "n1")}, {mac(flat, "n2")} }} drop\n'
        "  }\n"
        "}\n"
    )
    assert (found.bans, found.routers, found.cables) == ((), (), ())


def test_the_control_plane_is_on_a_side_only_where_it_is_named() -> None:
    flat = fabric()
    text = split(flat, "n1,switch", "n3").switches["switch"]
    assert f"ether daddr {{ {mac(flat, 'n3')} }} drop" in text
    assert f"    ether saddr {{ {mac(flat, 'n3')} }} drop" in text
    assert "hook input" not in split(flat, "n1", "n3").switches["switch"]


def test_who_is_apart_from_the_control_plane_still_shares_its_switch_with_its_own_side() -> None:
    assert split(fabric(), "n1,switch", "n2,n3").cables == ()


def test_who_is_in_no_group_talks_to_everybody() -> None:
    flat = fabric()
    text = split(flat, "n1", "n3").switches["switch"]
    assert mac(flat, "n2") not in text
    assert '"to-n2"' not in text


def test_groups_may_straddle_switches() -> None:
    links = [{"endpoints": ends} for ends in (["n1", "a"], ["n2", "a"], ["a", "b"], ["n3", "b"])]
    wide = fabric(links=links)
    found = split(wide, "n1,n3", "n2").switches
    assert '"to-n2"' in found["a"]
    assert mac(wide, "n1") in found["a"]
    assert f'"to-n3" ether saddr {{ {mac(wide, "n2")} }} drop' in found["b"]
    assert '"to-a"' not in found["b"]


def test_routers_go_by_networks_and_a_cable_between_groups_is_cut() -> None:
    links = [{"endpoints": ends} for ends in (["n1", "r1"], ["n2", "r1"], ["n3", "n2"])]
    routed = fabric(routers={"r1": {}}, links=links)
    found = split(routed, "n1", "n2", "n3")
    assert found.routers == ("r1",)
    assert found.cables == ("n3:n2",)
    first = found.bans[0]
    own = {name: ip_network(routed.machine(name).addresses[0].ip) for name in NODES}
    assert first.sources == (own["n1"],)
    assert set(first.destinations) == {own["n2"], own["n3"]}
    assert len({one.table for one in found.bans}) == 3
