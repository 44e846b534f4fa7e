"""The pod network: every node's pods with their addresses, and the routes between nodes."""

from __future__ import annotations

from collections.abc import Sequence

from testbed.ip import family_of
from testbed.model.objects.metadata import name_of
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.workloads import TEMPLATE_HASH_LABEL
from testbed.model.wiring import SWITCH
from testbed.picture.fakes import fake_cards
from testbed.picture.physical import MOST_NODES, node_key
from testbed.picture.scene import Scene
from testbed.picture.shapes import Card, Cell, Line, Picture, State, Table

MOST_PODS = 12
"""More pods of a node are drawn by what they are alike in."""
MOST_GROUPS = 12


def pods(scene: Scene) -> Picture:
    """Nodes as cards that hold their pods; each line is the route that all the other nodes have."""
    shown = scene.nodes[:MOST_NODES]
    cards = [_card(scene, node) for node in shown]
    if len(shown) < len(scene.nodes):
        cards.append(_rest(scene, scene.nodes[MOST_NODES:]))
    cards += fake_cards(scene)
    if scene.pods.get(""):
        cards.append(Card("no-node", "note", "on no node", cells=_cells(scene.pods[""])))
    routes = (
        *(
            Line(SWITCH, node_key(node.meta.name), _route(scene, node), arrow=True)
            for node in shown
        ),
        *([Line(SWITCH, "more-nodes")] if len(shown) < len(scene.nodes) else []),
    )
    foreseen = "" if scene.live else " Addresses as handed out in turn: a lab's may fall otherwise."
    network = scene.topology.network
    cidrs = ", ".join(map(str, network.pod_cidrs))
    return Picture(
        name="pods",
        title=f"{scene.name}: pod network",
        caption=f"Pods are {cidrs}, {_JOINED.get(network.cni.routes, _ROUTED)}.{foreseen}",
        cards=(Card(SWITCH, "switch", "every other node", (cidrs, *_everywhere(scene))), *cards),
        lines=routes,
        tables=tuple(_table(scene, node) for node in scene.nodes),
        sideways=len(cards) > 4,
    )


_ROUTED = "a line is the route that every other node has to this node's pods"
_JOINED = {
    "vxlan": "in a VXLAN overlay as flannel's: a line is the tunnel that every other node has to this "
    "node, and the pods behind it",
    "weave": "one flat network over VXLAN as Weave Net's: a line is a tunnel to whose end every other node "
    "floods what it has not learned yet; each node gives out its share of the addresses",
}
"""By pod network: what joins the pods of different nodes."""


def _everywhere(scene: Scene) -> tuple[str, ...]:
    """What all nodes have alike of the pod network."""
    network = scene.topology.network
    if network.cni.routes == "vxlan":
        return (f"VXLAN {network.vxlan.vni}, UDP {network.vxlan.port}",)
    return (network.cni.routes,)


def _route(scene: Scene, node: Node) -> tuple[str, ...]:
    network = scene.topology.network
    over = {"vxlan": "tunnel to", "weave": "tunnel to"}.get(network.cni.routes, "via")
    vias = {family_of(ip): ip for ip in node.internal_ips}
    return tuple(
        text
        for cidr in node.pod_cidrs
        for text in (cidr, f"{over} {vias.get(family_of(cidr), '?')}")
    )


def _card(scene: Scene, node: Node) -> Card:
    return Card(
        node_key(node.meta.name),
        "node",
        node.meta.name,
        (*node.internal_ips, f"pods {', '.join(node.pod_cidrs)}"),
        _cells(scene.pods.get(node.meta.name, ())),
        "ready" if node.ready else "not ready",
    )


def _rest(scene: Scene, nodes: Sequence[Node]) -> Card:
    count = sum(len(scene.pods.get(node.meta.name, ())) for node in nodes)
    title = f"{len(nodes)} more nodes"
    lines = (f"{nodes[0].meta.name} to {nodes[-1].meta.name}", f"{count} pods")
    return Card("more-nodes", "node", title, lines, state="many")


def _cells(found: Sequence[Pod]) -> tuple[Cell, ...]:
    if len(found) <= MOST_PODS:
        return tuple(
            Cell(pod_key(pod), (shown_name(pod), *_addresses(pod)), _state(pod)) for pod in found
        )
    groups: dict[str, list[Pod]] = {}
    for pod in found:
        groups.setdefault(family_name(pod), []).append(pod)
    by_size = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    cells = [_group(name, alike) for name, alike in by_size[:MOST_GROUPS]]
    if left := [pod for _, alike in by_size[MOST_GROUPS:] for pod in alike]:
        cells.append(_group("others", left))
    return tuple(cells)


def _group(name: str, alike: Sequence[Pod]) -> Cell:
    if len(alike) == 1:
        (pod,) = alike
        return Cell(pod_key(pod), (shown_name(pod), *_addresses(pod)), _state(pod))
    ready = sum(pod.status.ready for pod in alike)
    told = "all ready" if ready == len(alike) else f"{ready} ready"
    key = f"group-{alike[0].spec.node_name}-{name}"
    return Cell(
        key, (f"{name} × {len(alike)}", told), "many" if ready == len(alike) else "not ready"
    )


def pod_key(pod: Pod) -> str:
    return f"pod-{pod.meta.namespace}-{pod.meta.name}"


def shown_name(pod: Pod) -> str:
    """As people say WHERE: the default namespace goes without saying."""
    return name_of(pod).removeprefix("default/")


def family_name(pod: Pod) -> str:
    """What the pods of one workload share: the name without its last part, `web` of `web-3`."""
    name = shown_name(pod)
    owner = pod.meta.owner
    if owner is not None:
        # A Deployment's ReplicaSet is named after it and after its template.
        workload = owner.name.removesuffix(f"-{pod.meta.labels.get(TEMPLATE_HASH_LABEL, '')}")
        return f"{name.rpartition('/')[0]}/{workload}".removeprefix("/")
    return name.rpartition("-")[0] or name


def _addresses(pod: Pod) -> tuple[str, ...]:
    return pod.status.pod_ips or (pod.status.reason or pod.status.phase,)


def _state(pod: Pod) -> State:
    return "ready" if pod.status.ready else "not ready"


def _table(scene: Scene, node: Node) -> Table:
    rows = tuple(
        (
            shown_name(pod),
            ", ".join(pod.status.pod_ips) or "none yet",
            "ready" if pod.status.ready else "not ready",
            pod.status.reason or pod.status.phase,
        )
        for pod in scene.pods.get(node.meta.name, ())
    )
    columns = ("pod", "addresses", "ready", "phase")
    return Table(node_key(node.meta.name), f"pods of node {node.meta.name}", columns, rows)
