"""All iptables rules of one node in parts, so that a sync need not look at what did not change.

Most chains belong to one service port. Rules that were rendered once for an entry are taken over by the
entry's identity, and a difference between two states is sought only among the ports that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import compress, count
from operator import is_not

from testbed.proxy.iptables_chains import PortRules, Surroundings, port_rules
from testbed.proxy.ruleset import Chains, Ruleset, changed_chains
from testbed.proxy.table import ServicePortEntry

Entries = tuple[ServicePortEntry, ...]
Ports = tuple[PortRules, ...]


class NatChains(Mapping[str, tuple[str, ...]]):
    """The chains of table nat: `first` what is always there, the ports' own, `last` what leads to them.

    They are put together when somebody asks for one by its name, or for all.
    """

    __slots__ = ("_all", "first", "last", "ports")

    def __init__(self, first: Chains, ports: Iterable[PortRules], last: Chains) -> None:
        self.first = first
        self.ports = tuple(ports)
        self.last = last
        self._all: Chains | None = None

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self._put_together()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._put_together())

    def __len__(self) -> int:
        return len(self.first) + len(self.last) + sum([len(one.chains) for one in self.ports])

    def only(self, ports: Iterable[PortRules]) -> Chains:
        """As if there were no other ports."""
        chains = dict(self.first)
        for one in ports:
            chains.update(one.chains)
        chains.update(self.last)
        return chains

    def _put_together(self) -> Chains:
        if self._all is None:
            self._all = self.only(self.ports)
        return self._all


@dataclass(frozen=True, slots=True)
class State:
    """What a rule set was put together from: its memo."""

    around: Surroundings
    entries: Entries
    node_ports: tuple[str, ...]
    """The end of KUBE-SERVICES."""
    filter: Chains
    nat: NatChains

    def changed_chains(self, before: object) -> int | None:
        """See `ruleset.Remembering`."""
        if not isinstance(before, State):
            return None
        have, want = narrowed(before, self)
        return changed_chains(have, want)


def ports_after(before: State, entries: Entries) -> tuple[tuple[PortRules, ...], bool]:
    """The rules of each entry, taken over where the entry is the same object; and whether the lines in the
    chains that all services share are still those of `before`.
    """
    old, around = before.nat.ports, before.around
    if len(entries) != len(old):
        known = {id(one.entry): one for one in old}
        return tuple([known.get(id(one)) or port_rules(one, around) for one in entries]), False
    ports, same = list(old), True
    for place in compress(count(), map(is_not, entries, before.entries)):
        ports[place] = port_rules(entries[place], around)
        same = same and ports[place].shared_lines == old[place].shared_lines
    return tuple(ports), same


def narrowed(have: State, want: State) -> tuple[Ruleset, Ruleset]:
    """Both without the chains of the ports that they share: what differs is among the rest."""
    gone, new = _apart(have.nat.ports, want.nat.ports)
    return (
        Ruleset({"filter": have.filter, "nat": have.nat.only(gone)}),
        Ruleset({"filter": want.filter, "nat": want.nat.only(new)}),
    )


def _apart(have: Ports, want: Ports) -> tuple[Iterable[PortRules], Iterable[PortRules]]:
    """Those of each that are not, at the same place or at all, the same objects in the other."""
    if len(have) == len(want):
        differ = list(map(is_not, have, want))
        return tuple(compress(have, differ)), tuple(compress(want, differ))
    old, new = {id(one) for one in have}, {id(one) for one in want}
    return (
        [one for one in have if id(one) not in new],
        [one for one in want if id(one) not in old],
    )
