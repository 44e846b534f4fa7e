"""The service view: each service's addresses, its endpoints, and the weight of each as the mode has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from testbed.ip import host_port
from testbed.lab.views import inspect
from testbed.model.objects.services import Service
from testbed.picture.scene import Scene
from testbed.picture.service_card import service_card, service_key, service_name
from testbed.picture.service_table import service_table
from testbed.picture.shapes import Card, Line, Picture, Table, percent, some
from testbed.picture.shares import PortShares, mean, port_shares, told

MOST_SERVICES = 24
MOST_ENDPOINTS = 8
"""More endpoints of a service are drawn by node."""
MOST_GROUPS = 10

Row = dict[str, Any]


def services(scene: Scene) -> Picture:
    """Services to the left, endpoints to the right, what each gets between them."""
    rows = inspect(scene.snapshot)["services"]
    shares: dict[tuple[str, str], list[PortShares]] = {}
    for one in port_shares(scene):
        shares.setdefault((one.entry.namespace, one.entry.service), []).append(one)
    services = {(one.meta.namespace, one.meta.name): one for one in scene.snapshot.list(Service)}
    cards: dict[str, Card] = {}
    lines: list[Line] = []
    tables: list[Table] = []
    for row in rows[:MOST_SERVICES]:
        name = row["namespace"], row["name"]
        service, of_row = services[name], shares.get(name, [])
        cards[_key(row)] = service_card(service, endpoints=bool(row["endpoints"]))
        for found, line in _endpoints(scene, row, of_row):
            cards.setdefault(found.key, found)
            lines.append(line)
        tables.append(service_table(scene, service, row["endpoints"], of_row))
    if len(rows) > MOST_SERVICES:
        left = [
            service_name(services[row["namespace"], row["name"]]) for row in rows[MOST_SERVICES:]
        ]
        cards["more"] = Card("more", "note", f"{len(left)} more services", (some(left),))
    return Picture(
        name="services",
        title=f"{scene.name}: services",
        caption=_caption(scene),
        cards=tuple(cards.values()),
        lines=tuple(lines),
        tables=tuple(tables),
        sideways=True,
    )


def _caption(scene: Scene) -> str:
    parts = [f"{scene.how_picked}."]
    if scene.shares_known:
        parts.append("A line says which share of new connections an endpoint gets in the long run.")
    if scene.picked:
        parts.append("Picked: new connections that were counted so far.")
    return " ".join(parts)


def _key(row: Row) -> str:
    return service_key(row["namespace"], row["name"])


def _endpoints(scene: Scene, row: Row, shares: Sequence[PortShares]) -> Iterable[tuple[Card, Line]]:
    found: dict[str, list[Row]] = {}
    for endpoint in row["endpoints"]:
        found.setdefault(endpoint["pod"] or endpoint["ip"], []).append(endpoint)
    if len(found) <= MOST_ENDPOINTS:
        for of_pod in found.values():
            yield _one(row, of_pod), _line(scene, row, _pod_key(row, of_pod[0]), of_pod, shares)
        return
    groups: dict[str, list[Row]] = {node.meta.name: [] for node in scene.nodes}
    for of_pod in found.values():
        node = of_pod[0]["node"] or ""
        groups.setdefault(_place(scene, node), []).extend(of_pod)
    groups = {node: members for node, members in groups.items() if members}
    for node in (*list(groups)[:MOST_GROUPS], *(["…"] if len(groups) > MOST_GROUPS else [])):
        others = list(groups)[MOST_GROUPS:]
        members = groups[node] if node != "…" else [one for name in others for one in groups[name]]
        pods = {one["pod"] or one["ip"] for one in members}
        ready = {one["pod"] or one["ip"] for one in members if one["ready"]}
        where = f"on {node}" if node != "…" else f"on {len(others)} more nodes"
        told_ready = "all ready" if len(ready) == len(pods) else f"{len(ready)} ready"
        key = f"{_key(row)}-{node}"
        card = Card(key, "endpoint", f"{len(pods)} pods", (where, told_ready), state="many")
        yield card, _line(scene, row, key, members, shares)


def _place(scene: Scene, node: str) -> str:
    """A node, or what a fake one is one of."""
    key = scene.entries.get(node)
    if key is None or len(scene.fakes[key]) == 1:
        return node
    return f"fake nodes {key}"


def _pod_key(row: Row, endpoint: Row) -> str:
    return f"endpoint-{row['namespace']}-{endpoint['pod'] or endpoint['ip']}"


def _one(row: Row, of_pod: Sequence[Row]) -> Card:
    first = of_pod[0]
    addresses = dict.fromkeys(one["ip"] for one in of_pod)
    ready = any(one["ready"] for one in of_pod)
    where = (f"on {first['node']}",) if first["node"] else ()
    unready = () if ready else ("not ready",)
    return Card(
        _pod_key(row, first),
        "endpoint",
        first["pod"] or first["ip"],
        (*(addresses if first["pod"] else ()), *where, *unready),
        state="ready" if ready else "not ready",
    )


def _line(
    scene: Scene, row: Row, head: str, members: Sequence[Row], shares: Sequence[PortShares]
) -> Line:
    # Two protocols of one port are one endpoint here.
    texts = list(dict.fromkeys(host_port(one["ip"], one["port"]) for one in members))
    label: list[str] = []
    share = 0.0
    used = [
        one for one in shares if any(text in node for node in one.inside.values() for text in texts)
    ]
    used += [one for one in shares if one not in used and mean(one.outside, texts)]
    if scene.shares_known:
        for one in used[:1]:
            share = mean(one.inside, texts) or mean(one.outside, texts)
            label += told(one.inside, texts)
            if one.outside != one.inside:
                label += [f"from outside {text}" for text in told(one.outside, texts)]
    elif used and scene.topology.proxy.mode == "ipvs":
        label.append("weight 1")
    label += _picked(scene, shares, texts)
    return Line(_key(row), head, tuple(label), arrow=True, dashed=not used, share=share)


def _picked(scene: Scene, shares: Sequence[PortShares], texts: Sequence[str]) -> list[str]:
    total = here = 0
    for name in dict.fromkeys(one.entry.name for one in shares):
        counts = scene.picked.get(name, {})
        total += sum(counts.values())
        here += sum(counts.get(text, 0) for text in texts)
    return [f"picked {here} ({percent(here / total)})"] if total else []
