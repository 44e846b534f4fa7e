"""Makes a `Fabric` real: a namespace per machine, cables, addresses, routes. Only differences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from testbed.errors import NotFound
from testbed.fabric import sysctls
from testbed.fabric.machine import UPLINK_INDEX, Cable, End, Fabric, Machine
from testbed.fabric.tree import carrying
from testbed.kernel import links, netlink, netns, shaping, sysctl
from testbed.kernel.bridge_table import flushed
from testbed.model.shape import NOTHING, Shape
from testbed.runtime.interface import CableState, Machines
from testbed.runtime.made_machine import MadeMachine

_VALVES = ("switch", "router", "host", "node")
"""At which end a cable is cut: the other one sees its carrier go, and keeps addresses and routes."""


class Namespaces:
    """Machines that are namespaces, and nothing else (`Machines`)."""

    def create(self, machine: Machine) -> int:
        return netns.create()

    def remove(self, name: str) -> None:
        """The namespace goes with its last descriptor."""

    def wired(self, fabric: Fabric) -> None:
        """Nobody else has to know."""


class NetnsUnderlay:
    """The machines of one lab (an `Underlay`). All methods run in the thread that owns its namespaces."""

    def __init__(self, machines: Machines | None = None) -> None:
        self._machines = machines or Namespaces()
        self._made: dict[str, MadeMachine] = {}
        self._fabric = Fabric((), (), "", ())
        self._wired: dict[str, Cable] = {}
        self._shapes: dict[str, tuple[Shape, Shape]] = {}
        """In force, of each cable that is wired."""
        self._carrying: set[str] = set()
        self._cut: set[str] = set()
        self._unplugged: set[str] = set()

    @property
    def control_plane(self) -> int:
        """File descriptor of the namespace that the control plane listens in."""
        return self._made[self._fabric.control_plane].namespace

    def namespace(self, name: str) -> int:
        """File descriptor of a machine's namespace."""
        return self._made[name].namespace

    def cables(self) -> dict[str, CableState]:
        """All cables, as they are now."""
        return {
            name: CableState(cable, self._state(cable), self._shapes[name])
            for name, cable in self._wired.items()
        }

    def _state(self, cable: Cable) -> Literal["up", "cut", "reserve", "down"]:
        if cable.name in self._cut:
            return "cut"
        if cable.name in self._carrying:
            return "up"
        return "reserve" if self._unplugged.isdisjoint(_machines_of(cable)) else "down"

    def cut(self, cable: str) -> None:
        """No packet passes the cable from now on: its ends have no carrier. Raises NotFound."""
        self._require(cable)
        self._cut.add(cable)
        self._carry()

    def join(self, cable: str) -> None:
        """Undo `cut`. Raises NotFound."""
        self._require(cable)
        self._cut.discard(cable)
        self._carry()

    def set_shape(self, cable: str, end: int, shape: Shape) -> bool:
        """Shape what enters the cable at an end (0 or 1). False: see `kernel.shaping.set_shape`, which says
        what is raised, too, beside NotFound.
        """
        self._require(cable)
        return self._shape(self._wired[cable], end, shape)

    def unplug(self, name: str) -> None:
        """All of a machine's links are down: from now on no packet comes or goes."""
        self._unplugged.add(name)
        self._carry()

    def renew(self, name: str) -> None:
        """A new namespace for a machine, with new links: nothing of the old one is left."""
        machine = self._made[name].machine
        self._remove(name)
        self._unplugged.discard(name)
        self._create(machine)
        self._settle()

    def apply(self, want: Fabric) -> None:
        """Add, remove, rewire and re-route machines until the fabric is as wanted."""
        targets = {machine.name: machine for machine in want.machines}
        for name, made in list(self._made.items()):
            if name not in targets or targets[name].kind != made.machine.kind:
                self._remove(name)
        cables = {cable.name: cable for cable in want.cables}
        for name, cable in list(self._wired.items()):
            if name not in cables or not _same_wire(cable, cables[name]):
                self._unwire(cable)
        reshaped = [
            (cable, end)
            for name, cable in cables.items()
            if name in self._wired and cable.shapes != self._wired[name].shapes
            for end in (0, 1)
        ]
        self._wired |= {name: cables[name] for name in self._wired}
        self._cut &= cables.keys()
        self._unplugged &= targets.keys()
        self._fabric = want
        for machine in want.machines:
            if machine.name in self._made:
                self._made[machine.name].machine = machine
            else:
                self._create(machine)
        self._settle()
        for cable, end in reshaped:
            self._shape(cable, end, cable.shapes[end])

    def _require(self, cable: str) -> None:
        if cable not in self._wired:
            raise NotFound(f"no link {cable!r}", f"there is {', '.join(self._wired)}")

    def _create(self, machine: Machine) -> None:
        namespace = self._machines.create(machine)
        made = self._made[machine.name] = MadeMachine(machine, namespace)
        every = sysctls.IPV6 if 6 in self._fabric.families else sysctls.NO_IPV6
        dials = () if machine.kind == "switch" else sysctls.END
        with netns.entered(namespace):
            sysctl.write((*every, *dials, *machine.sysctls))
        messages = [links.link_up(1)]
        if machine.kind == "switch":
            bridge = machine.interfaces[0]
            messages.append(links.bridge(bridge.name, bridge.mtu, bridge.index))
            made.indices[bridge.name] = bridge.index
        with _talking(namespace) as link:
            link.send(messages)

    def _remove(self, name: str) -> None:
        for cable in [one for one in self._wired.values() if name in _machines_of(one)]:
            self._unwire(cable)
        os.close(self._made.pop(name).namespace)
        self._machines.remove(name)

    def _settle(self) -> None:
        """All machines are there: wire what is not, then give addresses and routes."""
        new = [cable for cable in self._fabric.cables if cable.name not in self._wired]
        self._wire(new)
        for cable in new:
            for end, shape in enumerate(cable.shapes):
                if not shape.nothing:
                    self._shape(cable, end, shape)
        for made in self._made.values():
            self._configure(made)
        self._carry()
        self._machines.wired(self._fabric)

    def _wire(self, cables: Iterable[Cable]) -> None:
        """Cables that are there, with nothing configured. Those between switches do not carry yet."""
        batches: dict[str, list[netlink.Message]] = {}
        for cable in cables:
            self._wired[cable.name] = cable
            self._shapes[cable.name] = (NOTHING, NOTHING)
            valve, other = self._ends(cable)
            loops = self._is_switch(other.machine)
            near, far = (other, valve) if loops else (valve, other)
            batches.setdefault(near.machine, []).append(self._veth(cable, near, far))
            # Between switches, the far end becomes a port only once it carries: no loop is ever closed.
            if not loops:
                self._carrying.add(cable.name)
        for name, messages in batches.items():
            with _talking(self._made[name].namespace) as link:
                link.send(messages)

    def _veth(self, cable: Cable, near: End, far: End) -> netlink.Message:
        one, other = self._made[near.machine], self._made[far.machine]
        here, there = one.numbered(near), other.numbered(far)
        return links.veth(
            links.End(near.interface, near.mac, cable.mtu, here, large=True),
            links.End(far.interface, far.mac, cable.mtu, there, other.namespace, large=True),
            master=UPLINK_INDEX if self._is_switch(near.machine) else 0,
        )

    def _unwire(self, cable: Cable) -> None:
        del self._wired[cable.name], self._shapes[cable.name]
        self._carrying.discard(cable.name)
        near = cable.ends[0]
        made = self._made[near.machine]
        with _talking(made.namespace) as link:
            link.send([links.delete_link(made.indices[near.interface])], missing_ok=True)
        for end in cable.ends:
            self._made[end.machine].unwired(end.interface)

    def _shape(self, cable: Cable, end: int, shape: Shape) -> bool:
        at = cable.ends[end]
        made = self._made[at.machine]
        here = shaping.End(made.namespace, made.indices[at.interface], cable.mtu)
        done = shaping.set_shape(here, shape)
        have = self._shapes[cable.name]
        self._shapes[cable.name] = (have[0], shape) if end else (shape, have[1])
        return done

    def _configure(self, made: MadeMachine) -> None:
        """Its addresses and routes, as far as they differ."""
        gone, new = made.changes()
        if gone or new:
            with _talking(made.namespace) as link:
                link.send(gone, missing_ok=True)
                link.send(new)

    def _carry(self) -> None:
        """Switch cables off and on, so that those carry which should."""
        out = self._cut | {
            cable.name
            for cable in self._wired.values()
            if not self._unplugged.isdisjoint(_machines_of(cable))
        }
        want = carrying(self._fabric, out)
        changed = self._carrying ^ want
        if not changed:
            return
        # Off first: in between there must be no loop.
        for name in sorted(changed, key=lambda name: name in want):
            self._switch(self._wired[name], on=name in want)
        self._carrying = set(want)
        if any(all(map(self._is_switch, _machines_of(self._wired[name]))) for name in changed):
            self._forget_ways()

    def _switch(self, cable: Cable, *, on: bool) -> None:
        valve, other = self._ends(cable)
        made = self._made[valve.machine]
        index = made.indices[valve.interface]
        with _talking(made.namespace) as link:
            if not on:
                link.send([links.link_down(index)])
            elif self._is_switch(other.machine):
                link.send([links.bridge_port(index, UPLINK_INDEX)])
            else:
                link.send([links.link_up(index)])
        if not self._is_switch(valve.machine):
            made.lost(valve.interface)
            (made.down.discard if on else made.down.add)(valve.interface)
            self._configure(made)

    def _forget_ways(self) -> None:
        """Switches have learned who is behind which port: that may no longer be so."""
        for made in self._made.values():
            if made.machine.kind == "switch":
                with _talking(made.namespace) as link:
                    link.send([flushed(UPLINK_INDEX)])

    def _ends(self, cable: Cable) -> tuple[End, End]:
        """The end at which it is switched off, and the other one."""
        one, other = cable.ends
        ranks = [_VALVES.index(self._made[end.machine].machine.kind) for end in cable.ends]
        return (one, other) if ranks[0] <= ranks[1] else (other, one)

    def _is_switch(self, name: str) -> bool:
        return self._made[name].machine.kind == "switch"


def _same_wire(one: Cable, other: Cable) -> bool:
    return (one.ends, one.mtu) == (other.ends, other.mtu)


def _machines_of(cable: Cable) -> tuple[str, str]:
    return cable.ends[0].machine, cable.ends[1].machine


@contextmanager
def _talking(namespace: int) -> Iterator[netlink.Netlink]:
    with netns.entered(namespace), netlink.Netlink() as link:
        yield link
