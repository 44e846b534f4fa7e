"""Links of a containerlab file, in both formats: `endpoints: ["a:eth1", "b:eth1"]`, or `type:` with more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.model.fields import Mistake, Path

Json = Mapping[str, Any]
MANAGEMENT = "mgmt-net"
_LEAVES = {
    "host": "ends at the machine that runs containerlab",
    "macvlan": "ends at an interface of the machine that runs containerlab",
    "macvtap": "ends at an interface of the machine that runs containerlab",
    "vxlan": "leaves the machine that runs containerlab",
    "vxlan-stitch": "leaves the machine that runs containerlab",
    "dummy": "leads to nobody",
}
"""Kinds of links, and names that stand for a node in short endpoints."""
_TYPES = ("veth", MANAGEMENT, *_LEAVES)
_EXAMPLE = 'as in endpoints: ["leaf1:eth1", "spine1:eth1"]'


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link. A node called `mgmt-net` is the management network."""

    node: str
    interface: str


@dataclass(frozen=True, slots=True)
class ClabLink:
    """A link between two nodes, or of a node with the management network; `path` is where it is written."""

    path: Path
    ends: tuple[End, End]
    mtu: int | None


@dataclass(frozen=True, slots=True)
class NoLink:
    """A link that a lab cannot have, and why."""

    path: Path
    why: str


Found = ClabLink | NoLink | Mistake


def links_of(topology: Json, nodes: Collection[str]) -> Iterator[Found]:
    """Every link in order: one to make, one to leave out, or what is wrong with it."""
    taken: dict[End, int] = {}
    for index, link in enumerate(topology.get("links") or ()):
        path: Path = ("topology", "links", index)
        if not isinstance(link, Mapping):
            yield Mistake(path, "a link is a mapping", _EXAMPLE)
            continue
        found = _extended(path, link) if "type" in link else _brief(path, link)
        yield from [found] if not isinstance(found, ClabLink) else _checked(found, nodes, taken)


def _brief(path: Path, link: Json) -> Found:
    ends = link.get("endpoints")
    if not isinstance(ends, list) or len(ends) != 2:
        return Mistake((*path, "endpoints"), "a link has two endpoints", _EXAMPLE)
    parsed = []
    for side, text in enumerate(ends):
        node, colon, interface = text.partition(":") if isinstance(text, str) else ("", "", "")
        if not (node and colon and interface):
            return Mistake((*path, "endpoints", side), "an endpoint is node:interface", _EXAMPLE)
        parsed.append(End(node.strip(), interface.strip()))
    leaving = next((end.node for end in parsed if end.node in _LEAVES), None)
    if leaving:
        return NoLink(path, _LEAVES[leaving])
    return ClabLink(path, (parsed[0], parsed[1]), _mtu(link))


def _extended(path: Path, link: Json) -> Found:
    kind = str(link["type"]).strip().lower()
    if kind in _LEAVES:
        return NoLink(path, _LEAVES[kind])
    if kind == MANAGEMENT:
        ends: list[Any] = [link.get("endpoint"), {"node": MANAGEMENT, "interface": "-"}]
    elif kind == "veth":
        written = link.get("endpoints")
        ends = written if isinstance(written, list) else []
    else:
        return Mistake((*path, "type"), f"no kind of link is called {kind}", ", ".join(_TYPES))
    parsed = [
        End(str(end["node"]), str(end["interface"]))
        for end in ends
        if isinstance(end, Mapping) and end.get("node") and end.get("interface")
    ]
    if len(parsed) != 2:
        where = "endpoint" if kind == MANAGEMENT else "endpoints"
        return Mistake((*path, where), "each endpoint has a node and an interface", "write both")
    leaving = next((end.node for end in parsed if end.node in _LEAVES), None)
    if leaving:
        return NoLink(path, _LEAVES[leaving])
    return ClabLink(path, (parsed[0], parsed[1]), _mtu(link))


def _mtu(link: Json) -> int | None:
    mtu = link.get("mtu")
    return mtu if isinstance(mtu, int) and not isinstance(mtu, bool) else None


def _checked(
    link: ClabLink, nodes: Collection[str], taken: dict[End, int]
) -> Iterator[ClabLink | Mistake]:
    index = int(link.path[2])
    wrong = False
    for side, end in enumerate(link.ends):
        path = (*link.path, "endpoints", side)
        if end.node == MANAGEMENT:
            continue
        if end.node not in nodes:
            yield Mistake(path, f"there is no node {end.node}", "it belongs under topology.nodes")
            wrong = True
        elif end in taken:
            message = f"{end.node}:{end.interface} is an end of link {taken[end] + 1} already"
            yield Mistake(path, message, "one interface, one link")
            wrong = True
        taken.setdefault(end, index)
    if not wrong:
        yield link
