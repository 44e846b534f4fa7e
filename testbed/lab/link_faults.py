"""What is wrong with a lab's links on purpose: cut, impaired, groups of machines kept apart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from testbed.clock import now_ns
from testbed.command import Command
from testbed.errors import CheckFailed, CommandFailed
from testbed.events import Event
from testbed.fabric.machine import Fabric
from testbed.fabric.partition import NO_BARRIER, NO_PARTITION, Barrier, barrier
from testbed.faults.link_choice import Chosen, checked_groups, chosen
from testbed.faults.link_fault import PARTITION, LinkFault, Partition, ends_of
from testbed.ip import IPNetwork
from testbed.kernel import features, netns
from testbed.kernel.features import Feature
from testbed.kernel.netlink import Netlink
from testbed.kernel.policy_rules import ban, lift
from testbed.kernel.run import Shell
from testbed.lab.control_touch import ControlTouch
from testbed.model.shape import NOTHING
from testbed.runtime.interface import CableState, Underlay

_EMPTY_S = 0.2
"""Between two looks at whether a link that is healed is empty."""
_NFT = ("nft", "-f", "-")


class LinkFaults:
    """Faults of one lab's links. What is in force is read from the underlay, but for partitions."""

    def __init__(self, underlay: Underlay, touch: ControlTouch) -> None:
        self._underlay = underlay
        self._touch = touch
        self._fabric = Fabric((), (), "", ())
        self._networks: Mapping[str, Sequence[IPNetwork]] = {}
        self._cut: set[str] = set()
        """Cables that were cut as such; a partition may cut more."""
        self._partition: Partition | None = None
        self._barrier = NO_BARRIER
        self._parting = asyncio.Lock()
        self._later = asyncio.get_running_loop().call_later
        self.in_force = False
        """Whether anything is other than the topology says."""
        touch.in_doubt = lambda: self.in_force

    def knows(self, name: str) -> bool:
        """Whether it is a link, or a machine that has some."""
        return any(
            name in {cable.name, *(end.machine for end in cable.ends)}
            for cable in self._fabric.cables
        )

    async def follow(self, fabric: Fabric, networks: Mapping[str, Sequence[IPNetwork]]) -> None:
        """The lab has become another one. `networks`: what packets of a machine are sent from."""
        self._fabric, self._networks = fabric, networks
        self._cut &= set(self._names())
        control_plane = fabric.machine(fabric.control_plane)
        self._touch.target = next((one.ip for one in control_plane.addresses), None)
        if self._partition is not None:
            await self._part(self._partition)
        if self.in_force:
            self._changed()

    async def inject(self, fault: LinkFault) -> Event:
        """Do what the fault says, now; the event's `t_ns` is when all of it was in force, and read back.

        Raises NotFound, UsageError, MissingFeature; CheckFailed where it is so already.
        """
        found = chosen(fault.where, self._fabric)
        names = [one.cable.name for one in found]
        detail: dict[str, Any] = {"level": fault.level, "links": names}
        match fault.kind:
            case "cut":
                detail["links"] = self._cut_all(names, fault)
            case "impair":
                self._impair(fault, found)
                detail |= {**fault.how, "direction": fault.direction}
            case _:  # heal
                detail["healed"] = self._mend(names)
                if not detail["healed"]:
                    raise CheckFailed(
                        f"nothing is wrong with {' '.join(fault.where)}",
                        "`testbed inspect` shows links; `heal partition` ends a partition",
                    )
        t_ns = now_ns()
        self._changed()
        where = " ".join(fault.where)
        return Event(t_ns, "fault", self._node(fault.where), fault.kind, where, 0, detail)

    async def keep_apart(self, wanted: Partition) -> Event:
        """Groups exchange no packet from `t_ns` on; a partition that was there before is over."""
        checked_groups(wanted.groups, self._fabric)
        await self._part(wanted)
        t_ns = now_ns()
        self._changed()
        groups = [list(group) for group in wanted.groups]
        detail = {"level": wanted.level, "groups": groups}
        return Event(t_ns, "fault", "", PARTITION, _written(wanted), 0, detail)

    async def reunite(self) -> Event:
        """End the partition. Raises CheckFailed where there is none."""
        if self._partition is None:
            raise CheckFailed("there is no partition", "`partition n1,n2 n3` makes one")
        was = self._partition
        await self._part(None)
        t_ns = now_ns()
        self._changed()
        detail = {"level": "heal", "healed": [PARTITION]}
        return Event(t_ns, "fault", "", "heal", _written(was), 0, detail)

    async def mend(self, machine: str) -> list[str]:
        """End what is wrong with a machine's links; returns the faults that were."""
        healed = self._mend([one.cable.name for one in chosen((machine,), self._fabric)])
        if healed:
            self._changed()
        return healed

    def _changed(self) -> None:
        """Links are other than they were."""
        impaired = any(map(_is_impaired, self._underlay.cables().values()))
        self.in_force = bool(self._cut) or self._partition is not None or impaired
        self._touch.doubt()

    def view(self) -> dict[str, Any]:
        """Links and partition as `inspect` shows them."""
        links = [
            {
                "name": name,
                "endpoints": [end.machine for end in state.cable.ends],
                "state": state.state,
                "impaired": _is_impaired(state),
                "shapes": [shape.to_json() for shape in state.shapes],
            }
            for name, state in self._underlay.cables().items()
        ]
        groups = self._partition.groups if self._partition is not None else ()
        return {"links": links, "partition": [list(group) for group in groups]}

    def _node(self, where: Sequence[str]) -> str:
        """The node that is named, where it is the only one."""
        kinds = {machine.name: machine.kind for machine in self._fabric.machines}
        return where[0] if len(where) == 1 and kinds.get(where[0]) == "node" else ""

    # Cables

    def _names(self) -> list[str]:
        return [cable.name for cable in self._fabric.cables]

    def _cut_all(self, names: Sequence[str], fault: LinkFault) -> list[str]:
        """Cut what is not cut yet; returns which those were."""
        whole = [name for name in names if name not in self._cut]
        if not whole:
            raise CheckFailed(f"{' '.join(fault.where)} is cut already", "`heal` joins it again")
        for name in whole:
            self._cut.add(name)
            self._underlay.cut(name)
        return whole

    def _impair(self, fault: LinkFault, found: Sequence[Chosen]) -> None:
        shapes = [
            (one.cable.name, end, fault.shaped(one.cable.shapes[end]))
            for one in found
            for end in ends_of(fault.direction, first_is=one.first_is)
        ]
        for name, end, shape in shapes:
            self._underlay.set_shape(name, end, shape)

    def _mend(self, names: Sequence[str]) -> list[str]:
        """Cables are again as the topology says; returns the faults that they had."""
        had = []
        if cut := [name for name in names if name in self._cut]:
            had.append("cut")
        states = self._underlay.cables()
        if impaired := [name for name in names if _is_impaired(states[name])]:
            had.append("impair")
        for name in impaired:
            for end, shape in enumerate(states[name].cable.shapes):
                if not self._underlay.set_shape(name, end, shape):
                    self._later(_EMPTY_S, self._clear, name, end)
        self._cut.difference_update(cut)
        self._join(cut)
        return had

    def _join(self, names: Iterable[str]) -> None:
        """Join what is there, and nothing keeps apart any more."""
        for name in set(names).intersection(self._names()).difference(self._cut):
            if name not in self._barrier.cables:
                self._underlay.join(name)

    def _clear(self, name: str, end: int) -> None:
        """Take the last of a shape away, once what was under way has arrived."""
        state = self._underlay.cables().get(name)
        if (
            state is not None
            and state.shapes[end].nothing
            and not self._underlay.set_shape(name, end, NOTHING)
        ):
            self._later(_EMPTY_S, self._clear, name, end)

    # Partitions

    async def _part(self, wanted: Partition | None) -> None:
        """Go from one partition (or none) to another (or none); who is apart in both is so meanwhile."""
        async with self._parting:
            self._touch.suspend()
            try:
                await self._replace_barrier(self._barrier_of(wanted))
                self._partition = wanted
            finally:
                self._touch.doubt()

    async def _replace_barrier(self, want: Barrier) -> None:
        had = self._barrier
        known = {machine.name for machine in self._fabric.machines}
        gone = {name: NO_PARTITION for name in had.switches if name in known}
        await self._load({**gone, **want.switches})
        self._barrier = want
        for cable in want.cables:
            self._underlay.cut(cable)
        self._join(had.cables)
        for router in known.intersection((*had.routers, *want.routers)):
            self._ban(router, had, want)

    def _barrier_of(self, wanted: Partition | None) -> Barrier:
        if wanted is None:
            return NO_BARRIER
        return barrier(self._fabric, wanted.groups, self._networks)

    def _ban(self, router: str, had: Barrier, now: Barrier) -> None:
        with netns.entered(self._underlay.namespace(router)), Netlink() as link:
            for one in had.bans:
                link.send(lift(one.table, one.sources, one.destinations), missing_ok=True)
            for one in now.bans:
                link.send(ban(one.table, one.sources, one.destinations))

    async def _load(self, switches: Mapping[str, str]) -> None:
        """Have nft load a text on each switch, each in one transaction. Raises MissingFeature."""

        async def load(switch: str, text: str) -> None:
            shell = Shell(self._underlay.namespace(switch))
            try:
                await shell.run_all([Command(_NFT, text)])
            finally:
                shell.close()

        try:
            await asyncio.gather(*(load(name, text) for name, text in switches.items()))
        except CommandFailed:
            await asyncio.to_thread(features.require, Feature.NFTABLES_BRIDGE)
            raise


def _is_impaired(state: CableState) -> bool:
    return state.shapes != state.cable.shapes


def _written(wanted: Partition) -> str:
    return " ".join(",".join(group) for group in wanted.groups)
