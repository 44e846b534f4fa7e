"""The physical view: switches, links with what they cost, nodes, outside hosts."""

from __future__ import annotations

from testbed.model.addressing import AddressPlan, plan_addresses
from testbed.model.fakes import live_nodes
from testbed.model.links import Link
from testbed.model.objects import ZONE_LABEL, Node
from testbed.picture.fakes import fake_cards
from testbed.picture.scene import Scene
from testbed.picture.shapes import Card, Line, Picture, State, Table, some
from testbed.units import pretty_bps, pretty_s

SWITCH = "switch"
MOST_NODES = 24
"""More are drawn as one card: a picture of a thousand boxes shows none."""


def physical(scene: Scene) -> Picture:
    """Machines and what joins them."""
    plan = plan_addresses(scene.topology)
    many = len(scene.nodes) > MOST_NODES and not scene.topology.links
    machines = [_many(scene)] if many else [_node(scene, node) for node in scene.nodes]
    machines += [_host(name, plan) for name in scene.topology.hosts]
    switches, lines = _underlay(scene, [card.key for card in machines])
    machines += fake_cards(scene)
    return Picture(
        name="physical",
        title=f"{scene.name}: machines and links",
        caption=f"MTU {scene.topology.network.mtu}. " + _what_joins(scene),
        cards=(*switches, *machines),
        lines=tuple(lines),
        tables=tuple(_table(scene, node) for node in scene.nodes),
        sideways=len(machines) > 5,
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
    if not scene.topology.links:
        return "One switch joins all machines."
    return "Links say delay (one way), rate and loss where the topology limits them."


def _underlay(scene: Scene, machines: list[str]) -> tuple[list[Card], list[Line]]:
    topology = scene.topology
    if not topology.links:
        networks = tuple(map(str, topology.network.node_cidrs))
        lines = [Line(SWITCH, machine) for machine in machines]
        return [Card(SWITCH, "switch", "switch", networks)], lines
    keys = {name: node_key(name) for name in live_nodes(topology)}
    keys |= {name: host_key(name) for name in topology.hosts}
    ends = dict.fromkeys(end for link in topology.links for end in link.endpoints)
    switches = [end for end in ends if end not in keys]
    keys |= {name: f"switch-{name}" for name in switches}
    lines = [_line(link, keys) for link in topology.links]
    return [Card(keys[name], "switch", name) for name in switches], lines


def _line(link: Link, keys: dict[str, str]) -> Line:
    one, other = link.endpoints
    # From the switch down, so that machines stand below what joins them.
    if keys[other].startswith("switch-") and not keys[one].startswith("switch-"):
        one, other = other, one
    costs = (
        pretty_s(link.delay_s) if link.delay_s else "",
        pretty_bps(link.rate_bps) if link.rate_bps else "",
        f"{link.loss * 100:g} % lost" if link.loss else "",
    )
    return Line(keys[one], keys[other], tuple(filter(None, costs)))


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
