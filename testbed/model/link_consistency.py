"""What contradicts itself in `links`, `routers` and where the control plane is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from testbed.ip import IPV6_LEAST_MTU
from testbed.model.fields import Mistake, Path
from testbed.model.topology import Topology
from testbed.model.wiring import Segment, Wiring, wiring
from testbed.spelling import nearest

MOST_LINKS = 30
"""Of a node: the numbers of its interfaces are kept apart from those of the pod network and of pods."""


def mistakes(topology: Topology) -> Iterator[Mistake]:
    """In the order of the checks below."""
    if not topology.all_links:
        yield from _without_links(topology)
        return
    wired = wiring(topology)
    astray = [*_racks(topology, wired)] or [*_ends(topology, wired)]
    yield from astray
    if astray:
        return  # whatever else is wrong may follow from that
    yield from _unlinked(topology, wired)
    yield from _mtus(topology, wired)
    yield from _control_plane(topology, wired)
    yield from _apart(topology, wired)


def _without_links(topology: Topology) -> Iterator[Mistake]:
    for router in topology.routers:
        hint = "say under links: what it is linked to, or leave it out"
        yield Mistake(("routers", router), f"router {router} has no link", hint, at_key=True)
    if topology.network.control_plane:
        message = "without links there is one switch, and the control plane is there"
        yield Mistake(("network", "controlPlane"), message, "leave it out")


def _ends(topology: Topology, wired: Wiring) -> Iterator[Mistake]:
    """A name that is no machine is a switch, and a switch joins at least two links."""
    machines = {*topology.nodes, *topology.hosts, *topology.routers}
    ends = Counter(end for link in topology.all_links for end in set(link.endpoints))
    paths = _paths(topology)
    for index, link in enumerate(topology.all_links):
        written = paths[index]
        path = (*written, "endpoints") if written[0] == "links" else written
        one, other = link.endpoints
        if one == other:
            yield Mistake(path, f"a link from {one} to itself", "name another end")
        for side, end in enumerate(link.endpoints):
            spec = topology.nodes.get(end)
            if spec is not None and spec.fake:
                hint = "fake nodes are only objects: leave the link out"
                yield Mistake(_at(path, side), f"node {end} is fake: no link ends there", hint)
            if end in machines or ends[end] > 1:
                continue
            meant = nearest(end, {*machines, *(name for name in ends if ends[name] > 1)})
            hint = f"did you mean {meant}?" if meant else "a switch needs a second link"
            message = (
                f"leads nowhere: {end} is no node, host or router, and no other link ends there"
            )
            yield Mistake(_at(path, side), message, hint)
    for name, ports in wired.ports().items():
        if wired.kinds[name] == "node" and len(ports) > MOST_LINKS:
            message = f"node {name} has {len(ports)} links; at most {MOST_LINKS}"
            yield Mistake(("nodes", name), message, "use a switch", at_key=True)


def _paths(topology: Topology) -> list[Path]:
    """Where each of `all_links` is written."""
    racked: list[Path] = [
        ("racks", name) for name, rack in topology.racks.items() for _ in rack.links(name)
    ]
    return [*racked, *(("links", index) for index, _ in enumerate(topology.links))]


def _at(path: Path, side: int) -> Path:
    """An end of a link; of a rack's links, the rack."""
    return (*path, side) if path[0] == "links" else path


def _racks(topology: Topology, wired: Wiring) -> Iterator[Mistake]:
    """A rack is a switch, its machines are none, and its router is one."""
    for name, rack in topology.racks.items():
        if wired.kinds[name] != "switch":
            message = f"rack {name} has a {wired.kinds[name]}'s name, and is a switch"
            yield Mistake(("racks", name), message, "rename one of them", at_key=True)
        for index, machine in enumerate(rack.machines):
            if machine not in {*topology.nodes, *topology.hosts}:
                meant = nearest(machine, {*topology.nodes, *topology.hosts})
                hint = (
                    f"did you mean {meant}?" if meant else "what is above the rack goes to uplinks"
                )
                message = f"{machine} is no node or host"
                yield Mistake(("racks", name, "machines", index), message, hint)
        if rack.router is not None and rack.router not in topology.routers:
            meant = nearest(rack.router, topology.routers)
            hint = f"did you mean {meant}?" if meant else f"say routers: {{{rack.router}: {{}}}}"
            message = f"there is no router {rack.router}"
            yield Mistake(("racks", name, "router"), message, hint)


def _unlinked(topology: Topology, wired: Wiring) -> Iterator[Mistake]:
    for name, ports in wired.ports().items():
        kind = wired.kinds[name]
        if not ports:
            hint = f"say under links: what it is linked to, as in {{endpoints: [{name}, sw1]}}"
            yield Mistake((f"{kind}s", name), f"{kind} {name} has no link", hint, at_key=True)


def _mtus(topology: Topology, wired: Wiring) -> Iterator[Mistake]:
    """Switches neither cut packets nor say that one is too large: it is lost without a word."""
    mtus = {wire.name: wire.link.mtu or topology.network.mtu for wire in wired.wires}
    paths = dict(zip((wire.name for wire in wired.wires), _paths(topology), strict=True))
    written = {wire.name for wire in wired.wires if wire.link.mtu is not None}
    for segment in wired.segments:
        least = min(segment.wires, key=lambda name: mtus[name])
        for name in segment.wires:
            if mtus[name] > mtus[least]:
                message = f"{mtus[name]} bytes, and {least} in the same segment takes {mtus[least]}"
                hint = "links that switches join need one mtu; routers may join different ones"
                own = ("mtu",) if name in written else ()
                yield Mistake((*paths[name], *own), message, hint)
                break
    if 6 in topology.network.families:
        for wire in wired.wires:
            if wire.link.mtu is not None and wire.link.mtu < IPV6_LEAST_MTU:
                message = f"IPv6 needs links of {IPV6_LEAST_MTU} bytes at least"
                hint = "use a larger one, or IPv4 networks alone"
                yield Mistake((*paths[wire.name], "mtu"), message, hint)


def _control_plane(topology: Topology, wired: Wiring) -> Iterator[Mistake]:
    name = topology.network.control_plane
    places = [one for one, kind in wired.kinds.items() if kind in {"switch", "router"}]
    if not places:
        message = "no link ends at a switch or a router: the control plane has no place"
        yield Mistake(("links",), message, "link machines by a switch: any name that is no machine")
    elif name and name not in places:
        kind = f"a {wired.kinds[name]}" if name in wired.kinds else "no switch or router"
        meant = nearest(name, places)
        hint = f"did you mean {meant}?" if meant else f"there is {', '.join(places[:8])}"
        yield Mistake(("network", "controlPlane"), f"{name} is {kind}", hint)


def _apart(topology: Topology, wired: Wiring) -> Iterator[Mistake]:
    """Only switches and routers pass packets on: through them, everybody has to reach the control plane."""
    reached = _reached(wired)
    if not reached:
        return
    for name, ports in wired.ports().items():
        if ports and not any(segment.name in reached for _, segment in ports):
            kind = wired.kinds[name]
            message = f"{kind} {name} does not reach the control plane at {wired.control_plane}"
            hint = "link it, or what it is linked to, with the others by a switch or a router"
            yield Mistake((f"{kind}s", name), message, hint, at_key=True)


def _reached(wired: Wiring) -> set[str]:
    """Names of the segments that the control plane reaches."""
    of_routers: dict[str, list[Segment]] = {}
    for segment in wired.segments:
        for port in segment.ports:
            if wired.kinds[port.machine] == "router":
                of_routers.setdefault(port.machine, []).append(segment)
    start = [one for one in wired.segments if wired.control_plane in one.switches]
    edge = start or of_routers.get(wired.control_plane, [])
    reached: set[str] = set()
    while edge:
        reached |= {segment.name for segment in edge}
        edge = [
            further
            for segments in of_routers.values()
            if any(segment.name in reached for segment in segments)
            for further in segments
            if further.name not in reached
        ]
    return reached
