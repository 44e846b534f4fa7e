"""A containerlab file -> a topology, with a note for everything that a lab does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.model.clab_checks import definitions, malformed
from testbed.model.clab_links import MANAGEMENT, ClabLink, NoLink, links_of
from testbed.model.clab_nodes import (
    ASN_LABEL,
    OUR_LABELS,
    ZONE_LABEL,
    ClabNode,
    Part,
    Role,
    node_of,
    part_of,
)
from testbed.model.clab_wires import MGMT, Wire, joining, on_one_segment, without_dead_ends
from testbed.model.clab_words import word_for
from testbed.model.fields import Mistake, Path

Json = Mapping[str, Any]
_SECTIONS: dict[Role, str] = {"node": "nodes", "host": "hosts", "router": "routers"}
_NO_NODES = "no machine would be a node of the cluster"


@dataclass(frozen=True, slots=True)
class Imported:
    """`notes` are (where it is written, what became of it), in the file's order."""

    topology: dict[str, Any]
    notes: tuple[tuple[Path, str], ...]


class ClabError(Exception):
    """The file is wrong; `mistakes` says where."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes


def topology_of(value: Json, name: str, overrides: tuple[tuple[str, Role], ...] = ()) -> Imported:
    """The topology of a containerlab document. `name` "": the file's own. Raises ClabError."""
    mistakes = list(malformed(value))
    if mistakes:
        raise ClabError(mistakes)
    topology = value["topology"]
    nodes = {one: node_of(one, topology) for one in topology["nodes"]}
    parts = {one: part_of(node, overrides) for one, node in nodes.items()}
    found = list(links_of(topology, nodes))
    mistakes = [one for one in found if isinstance(one, Mistake)]
    if not any(part.role == "node" for part in parts.values()):
        hint = "--role NAME=node makes it one, or a label testbed.role: node"
        mistakes.append(Mistake(("topology", "nodes"), _NO_NODES, hint, at_key=True))
    if mistakes:
        raise ClabError(mistakes)
    notes = _Notes()
    names = _names([one for one in nodes if parts[one].role != "none"], notes)
    links = [one for one in found if isinstance(one, ClabLink) and _kept(one, names, parts, notes)]
    for one in found:
        if isinstance(one, NoLink):
            notes.add(one.path, f"{one.why}: left out")
    for one, part in parts.items():
        if part.why:
            notes.add(("topology", "nodes", one), part.why)
    for one, part in parts.items():
        own = (topology["nodes"][one] or {}).get("labels") or {}
        if part.role != "node" and set(own) - set(OUR_LABELS):
            notes.add(
                ("topology", "nodes", one, "labels"), "labels: only nodes of the cluster have any"
            )
    for path, text in _unmapped(value):
        notes.add(path, text)
    roles = {names[one]: parts[one].role for one in names}
    wires = _links(links, roles, names, notes)
    written = {
        "name": _as_name(name or str(value.get("name") or "imported")),
        **_network(wires, roles, notes),
        **_machines(nodes, parts, names),
        **({"links": wires} if wires else {}),
    }
    return Imported(written, notes.in_order(value))


def _network(
    wires: Sequence[dict[str, Any]], roles: Mapping[str, Role], notes: _Notes
) -> dict[str, Any]:
    """Which pod network the links ask for: plain routes need all nodes on one segment."""
    if not wires or on_one_segment([wire["endpoints"] for wire in wires], roles):
        return {}
    notes.add(
        ("topology", "links"), "nodes are on several segments: their pods are joined by vxlan"
    )
    return {"network": {"cni": "vxlan"}}


class _Notes:
    """What became of what, each said once."""

    def __init__(self) -> None:
        self._of: dict[tuple[Path, str], None] = {}

    def add(self, path: Path, text: str) -> None:
        self._of[(path, _about(path) + text)] = None

    def in_order(self, value: Json) -> tuple[tuple[Path, str], ...]:
        """As the file has them."""
        places = {path: number for number, path in enumerate(_paths(value, ()))}
        return tuple(sorted(self._of, key=lambda note: places.get(note[0], len(places))))


def _about(path: Path) -> str:
    """Whom a note is about: `leaf1: `, `kind linux: `."""
    match path:
        case ("topology", "nodes", name, *_):
            return f"{name}: "
        case ("topology", "kinds" | "groups" as section, name, *_):
            return f"{section[:-1]} {name}: "
        case ("topology", "defaults", *_):
            return "defaults: "
        case ("topology", "links", _, *_):
            return "this link "
    return ""


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield from _paths(item, (*path, key))


def _unmapped(value: Json) -> Iterator[tuple[Path, str]]:
    """What is written and has no counterpart here."""
    for key in value:
        if key not in {"name", "topology"}:
            yield (key,), word_for("", str(key))
    for path, definition in definitions(value["topology"]):
        for key, item in (definition or {}).items():
            if key in {"kind", "group", "labels"}:
                continue
            if isinstance(item, list):
                for index, line in enumerate(item):
                    yield (*path, key, index), word_for(key, str(line))
            else:
                yield (*path, key), word_for(key, str(item))
    for index, link in enumerate(value["topology"].get("links") or ()):
        for key in link:
            if key in {"labels", "vars"}:
                yield ("topology", "links", index, key), f"has {key}, which mean nothing here"


def _names(nodes: list[str], notes: _Notes) -> dict[str, str]:
    """What each is called in the lab: a DNS label, and nobody else's."""
    found = {real: real for real in nodes if _as_name(real) == real != MGMT}
    for real in nodes:
        if real in found:
            continue
        plain = _as_name(real)
        name, number = plain, 2
        while name in found.values() or name == MGMT:
            name, number = f"{plain[:60]}-{number}", number + 1
        notes.add(("topology", "nodes", real), f"is called {name} in the lab")
        found[real] = name
    return {real: found[real] for real in nodes}


def _as_name(real: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", real.lower()).strip("-")[:63].strip("-") or "imported"


def _kept(
    link: ClabLink, names: Mapping[str, str], parts: Mapping[str, Part], notes: _Notes
) -> bool:
    missing = [end.node for end in link.ends if end.node != MANAGEMENT and end.node not in names]
    if missing:
        notes.add(link.path, f"is left out with {' and '.join(missing)}")
    return not missing


def _machines(
    nodes: Mapping[str, ClabNode], parts: Mapping[str, Part], names: Mapping[str, str]
) -> dict[str, Any]:
    """The sections of machines: switches are none, they are named by their links alone."""
    found: dict[str, Any] = {}
    for role, section in _SECTIONS.items():
        entries = {
            names[one]: _spec(node, role) for one, node in nodes.items() if parts[one].role == role
        }
        if entries:
            found[section] = entries
    return found


def _spec(node: ClabNode, role: Role) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if role == "router" and node.labels.get(ASN_LABEL, "").isdecimal():
        found["asn"] = int(node.labels[ASN_LABEL])
    labels = {key: text for key, text in node.labels.items() if key not in OUR_LABELS}
    if role == "node":
        if node.labels.get(ZONE_LABEL):
            found["zone"] = node.labels[ZONE_LABEL]
        if labels:
            found["labels"] = labels
    return found


def _links(
    links: list[ClabLink], roles: Mapping[str, Role], names: Mapping[str, str], notes: _Notes
) -> list[dict[str, Any]]:
    """The links, and those by which all become one network."""
    wires = [
        Wire(
            tuple(MGMT if end.node == MANAGEMENT else names[end.node] for end in link.ends),
            link.mtu,
            link.path,
        )
        for link in links
    ]
    real = {name: one for one, name in names.items()}
    kept, dropped = without_dead_ends(wires, roles)
    for wire in dropped:
        notes.add(wire.path, "leads to a switch that joins nobody: left out")
    joined = joining(kept, roles) if kept else ()
    alone = [wire for wire in kept if MGMT in wire.ends]
    if len(alone) + len(joined) == 1:
        kept = [wire for wire in kept if wire not in alone]
        dropped += alone
    for name in joined:
        if name in real:
            text = f"no link joins it to the others: it hangs on a switch, {MGMT}"
            notes.add(("topology", "nodes", real[name]), text)
    return [
        # First, as containerlab's eth0 is: a machine's first address is the one by which all find it.
        *({"endpoints": [name, MGMT]} for name in joined),
        *({"endpoints": list(wire.ends), **wire.settings} for wire in kept),
    ]
