"""kube-proxy's nftables mode: a ForwardingTable as one table of nftables.

kube-proxy 1.36 is the model: a packet finds its service port in a map of verdicts, and the port's chain picks
an endpoint, so that what a packet costs does not depend on how many services there are. The parts:
`nftables_ports` (one service port), `nftables_frame` (what is there without any), `nftables_state` (all of it,
and what a sync changes), `nftables_script` (as input of nft), `nftables_listing` (and back).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from weakref import WeakValueDictionary

from testbed.command import Command
from testbed.proxy import nftables_script as script
from testbed.proxy.nftables_frame import frame_of
from testbed.proxy.nftables_listing import parse
from testbed.proxy.nftables_ports import FAMILIES, PortObjects, Surroundings, port_objects
from testbed.proxy.nftables_state import (
    Blocks,
    Changes,
    State,
    everything,
    following,
    fresh,
    of_other_node,
)
from testbed.proxy.ruleset import Observed, Ruleset
from testbed.proxy.table import ForwardingTable, ServicePortEntry

_Known = WeakValueDictionary[int, PortObjects]


@dataclass(frozen=True, slots=True)
class NftablesBackend:
    """The back end of `proxy.mode: nftables` for one address family.

    `max_transaction_bytes` cuts a sync where one transaction may not be large: in a user namespace it must fit
    the socket's send buffer. A sync is then atomic per chain only (see `nftables_script`).
    """

    family: int = 4
    max_transaction_bytes: int | None = None
    _known: dict[Surroundings, _Known] = field(
        default_factory=dict[Surroundings, _Known], compare=False, repr=False
    )
    """What is spelt already, by the identity of its entry, for as long as some rule set has it: nodes of
    a lab share entries, and so what they are spelt as."""

    @property
    def name(self) -> str:
        return "nftables"

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"nftables"})

    @property
    def sysctls(self) -> Mapping[str, str]:
        """None: in this mode node ports do not answer on 127.0.0.1."""
        return MappingProxyType({})

    def plan(self, table: ForwardingTable, previous: Ruleset | None = None) -> Ruleset:
        """All rules of the node. See `Backend.plan`."""
        frame = frame_of(table)
        known = self._known.setdefault(frame.around, WeakValueDictionary())

        def spell(entry: ServicePortEntry) -> PortObjects:
            found = known.get(id(entry))
            if found is None:
                found = known[id(entry)] = port_objects(entry, frame.around)
            return found

        before = previous.memo if previous else None
        if isinstance(before, State) and (before.frame, before.node) == (frame, table.node):
            state = following(before, table.ports, spell)
        elif (
            isinstance(before, State)
            and before.entries is table.ports
            and before.frame.around == frame.around
        ):
            state = of_other_node(before, frame, table.node)
        else:
            state = fresh(frame, table.node, table.ports, spell)
        return Ruleset({frame.table: Blocks(state)}, state)

    def commands(self, have: Ruleset | None, want: Ruleset) -> list[Command]:
        """See `Backend.commands`; `nftables_script` has the details."""
        (table,) = want.tables
        there = have.tables if have else {}
        changes = self._changes(have, want)
        if script.redeclares(changes):
            return [script.replacement(table, want.tables[table])]
        return script.commands(
            table, changes, anew=table not in there, max_bytes=self.max_transaction_bytes
        )

    def _changes(self, have: Ruleset | None, want: Ruleset) -> Changes:
        """What differs: as it was noted while planning, or else found by comparing all."""
        noted = want.memo.since(have.memo) if have and isinstance(want.memo, State) else None
        if noted is not None:
            return noted
        if have is None and isinstance(want.memo, State):
            return everything(want.memo)
        (table,) = want.tables
        return script.differences(
            script.table_of(have.tables, table) if have else {}, want.tables[table]
        )

    def observe(self) -> Command:
        return Command(("nft", "-s", "-y", "list", "ruleset", FAMILIES[self.family].ip))

    def parse(self, text: str) -> Observed:
        """See `Backend.parse`. Only the table `kube-proxy` is ours."""
        return parse(text)

    def rewrites(self, have: Ruleset | None, want: Ruleset) -> bool:
        """See `Backend.rewrites`: a difference costs no more than what differs."""
        return False
