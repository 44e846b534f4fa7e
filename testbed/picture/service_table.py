"""A service's table: of every endpoint where it is, what each node gives it, and how often it was picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testbed.ip import host_port
from testbed.model.objects.services import Service
from testbed.picture.scene import RANDOM, Scene
from testbed.picture.service_card import service_key, service_name
from testbed.picture.shapes import Table, percent
from testbed.picture.shares import PortShares
from testbed.proxy.names import service_port_name

MOST_NODES = 24
Row = dict[str, Any]


def service_table(
    scene: Scene, service: Service, rows: Sequence[Row], shares: Sequence[PortShares]
) -> Table:
    """`rows`: the service's endpoints as `inspect` has them. A row per endpoint and port."""
    nodes = [node.meta.name for node in scene.nodes][:MOST_NODES]
    in_rules = _in_rules(scene)
    columns = ["pod", "endpoint", "protocol", "node", "ready", *([in_rules] if in_rules else [])]
    columns += [f"from {node}" for node in nodes]
    columns += ["picked"] if scene.picked else []
    found = []
    for row in rows:
        text = host_port(row["ip"], row["port"])
        port = next((one for one in shares if _is_of(one, row) and _serves(one, text)), None)
        cells = [row["pod"] or "", text, row["protocol"], row["node"]]
        cells.append("ready" if row["ready"] else "not ready")
        cells += [_rule(scene, port, text)] if in_rules else []
        cells += [_weight(scene, port, node, text) for node in nodes]
        if scene.picked:
            name = service_port_name(service.meta.namespace, service.meta.name, row["portName"])
            cells.append(str(scene.picked.get(name, {}).get(text, 0)))
        found.append(tuple(cells))
    key = service_key(service.meta.namespace, service.meta.name)
    return Table(key, f"service {service_name(service)}", tuple(columns), tuple(found))


def _is_of(shares: PortShares, row: Row) -> bool:
    entry = shares.entry
    return (entry.port_name, entry.protocol) == (row["portName"], row["protocol"].lower())


def _serves(shares: PortShares, text: str) -> bool:
    return any(text in node for node in (*shares.inside.values(), *shares.outside.values()))


def _weight(scene: Scene, port: PortShares | None, node: str, text: str) -> str:
    if port is None:
        return "none"
    return percent(port.inside.get(node, {}).get(text, 0.0)) if scene.shares_known else "?"


def _in_rules(scene: Scene) -> str:
    """What this mode's rules themselves say of an endpoint; "" where they say nothing."""
    mode = scene.topology.proxy.mode
    return {"iptables": "probability in its rule", "ipvs": "weight"}.get(mode, "")


def _rule(scene: Scene, port: PortShares | None, text: str) -> str:
    """Of the first node that has this endpoint. iptables tries one endpoint after the other: the first of
    three takes a third of all, the second half of what is left, the last the rest.
    """
    if port is None:
        return "none"
    if scene.topology.proxy.mode not in RANDOM:
        return "1"
    nodes = (*port.inside.values(), *port.outside.values())
    order = next(list(node) for node in nodes if text in node)
    left = len(order) - order.index(text)
    return f"1/{left}" if left > 1 else "1"
