"""The physical view: switches, routers, links with what they cost, nodes, outside hosts."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.model.addressing import AddressPlan, plan_addresses
from testbed.model.objects.nodes import ZONE_LABEL, Node
from testbed.model.wiring import SWITCH, Kind, Segment, Wire, Wiring, wiring
from testbed.picture.fakes import fake_cards
from testbed.picture.scene import Scene
from testbed.picture.shapes import Card, Line, Picture, State, Table, some

MOST_NODES = 24
"""More are drawn as one card: a picture of a thousand boxes shows none."""


def physical(scene: Scene) -> Picture:
    """Machines and what joins them."""
    plan = plan_addresses(scene.topology)
    many = len(scene.nodes) > MOST_NODES and not scene.topology.all_links
    machines = [_many(scene)] if many else [_node(scene, node) for node in scene.nodes]
    machines += [_host(name, plan) for name in scene.topology.hosts]
    if scene.topology.all_links:
        between, lines = _links(scene, plan)
    else:
        networks = tuple(map(str, scene.topology.network.node_cidrs))
        between = [Card(SWITCH, "switch", SWITCH, networks)]
        lines = [Line(SWITCH, machine.key) for machine in machines]
    return Picture(
        name="physical",
        title=f"{scene.name}: machines and links",
        caption=f"MTU {scene.topology.network.mtu}. " + _what_joins(scene),
        cards=(*between, *machines, *fake_cards(scene)),
        lines=tuple(lines),
        tables=tuple(_table(scene, node) for node in scene.nodes),
        sideways=not scene.topology.all_links and len(machines) > 5,
    )


def node_key(name: str) -> str:
    return f"node-{name}"


def host_key(name: str) -> str:
    return f"host-{name}"


def _node(scene: Scene, node: Node) -> Card:
    zone = node.meta.labels.get(ZONE_LABEL)
    count = len(scene.pods.get(node.meta.name, ()))
    lines = [
        *node.internal_ips,
        *([f"zone {zone}"] if zone else []),
        *(["unschedulable"] if node.unschedulable else []),
        f"{count} pod{'s' * (count != 1)}",
    ]
    state: State = "ready" if node.ready else "not ready"
    return Card(node_key(node.meta.name), "node", node.meta.name, tuple(lines), state=state)


def _many(scene: Scene) -> Card:
    names = [node.meta.name for node in scene.nodes]
    ready = sum(node.ready for node in scene.nodes)
    pods = sum(len(scene.pods.get(name, ())) for name in names)
    zones = sorted({node.meta.labels.get(ZONE_LABEL, "") for node in scene.nodes} - {""})
    lines = [some(names), f"{ready} ready", f"{pods} pods"]
    lines += [f"zones {some(zones, 5)}"] if zones else []
    return Card("nodes", "node", f"{len(names)} nodes", tuple(lines), state="many")


def _host(name: str, plan: AddressPlan) -> Card:
    return Card(host_key(name), "host", name, (*plan.hosts[name].ips, "outside the cluster"))


def _what_joins(scene: Scene) -> str:
    if not scene.topology.all_links:
        return "One switch joins all machines."
    said = "Links say delay (one way), loss and rate where the topology limits them."
    if any(scene.topology.routers.values()):
        said += " Routers pass on what is for other networks."
    return said


def _links(scene: Scene, plan: AddressPlan) -> tuple[list[Card], list[Line]]:
    """Switches and routers, and all links, from above down."""
    wired = wiring(scene.topology)
    cards = [
        _switch(segment, name, wired, plan)
        for segment in wired.segments
        for name in segment.switches
    ]
    cards += [_router(scene, name, wired) for name in scene.topology.routers]
    heights = _heights(wired)
    ports = {port.wire: segment for segment in wired.segments for port in segment.ports}
    lines = []
    for wire in wired.wires:
        segment = ports.get(wire.name)
        between = segment is not None and not segment.switches
        networks = plan.segments[segment.name] if segment is not None and between else ()
        lines.append(_line(wire, wired.kinds, heights, tuple(map(str, networks))))
    return cards, lines


def _switch(segment: Segment, name: str, wired: Wiring, plan: AddressPlan) -> Card:
    here = ("control plane",) if name == wired.control_plane else ()
    networks = tuple(map(str, plan.segments[segment.name]))
    return Card(_key(name, "switch"), "switch", name, (*networks, *here))


def _router(scene: Scene, name: str, wired: Wiring) -> Card:
    asn = scene.topology.routers[name].asn
    lines = [f"router, AS {asn}" if asn is not None else "router"]
    lines += ["control plane"] if name == wired.control_plane else []
    return Card(_key(name, "router"), "router", name, tuple(lines))


def _key(name: str, kind: Kind) -> str:
    return f"{kind}-{name}"


def _heights(wired: Wiring) -> dict[str, int]:
    """How many links each is above the nearest node: a spine above its racks. Hosts are at the bottom."""
    found = {name: 0 for name, kind in wired.kinds.items() if kind == "node"}
    pairs = [wire.link.endpoints for wire in wired.wires]
    edge = set(found)
    while edge:
        near = {two for one, two in (*pairs, *((b, a) for a, b in pairs)) if one in edge}
        edge = near - found.keys()
        found |= dict.fromkeys(edge, max(found.values(), default=0) + 1)
    hosts = (name for name, kind in wired.kinds.items() if kind == "host")
    return found | dict.fromkeys(hosts, 0)


def _line(
    wire: Wire, kinds: Mapping[str, Kind], heights: Mapping[str, int], networks: tuple[str, ...]
) -> Line:
    one, other = wire.link.endpoints
    there, back = wire.link.shapes()
    words = (
        [there.words()]
        if there == back
        else [
            f"{a} to {b}: {shape.words()}"
            for a, b, shape in ((one, other, there), (other, one, back))
        ]
    )
    # From above down, so that machines stand below what joins them.
    if heights.get(other, 0) > heights.get(one, 0):
        one, other = other, one
    mtu = () if wire.link.mtu is None else (f"MTU {wire.link.mtu}",)
    costs = (part for said in words for part in said.split(", "))
    label = tuple(filter(None, (*costs, *mtu, *networks)))
    return Line(_key(one, kinds[one]), _key(other, kinds[other]), label)


def _table(scene: Scene, node: Node) -> Table:
    pods = scene.pods.get(node.meta.name, ())
    labels = ", ".join(f"{key}={value}" for key, value in sorted(node.meta.labels.items()))
    rows = (
        ("addresses", ", ".join(node.internal_ips)),
        ("pods' range", ", ".join(node.pod_cidrs)),
        ("labels", labels),
        ("ready", "yes" if node.ready else "no"),
        ("schedulable", "no" if node.unschedulable else "yes"),
        ("pods", str(len(pods))),
    )
    return Table(node_key(node.meta.name), f"node {node.meta.name}", ("", ""), rows)
