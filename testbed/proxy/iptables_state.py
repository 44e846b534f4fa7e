"""All iptables rules of one node in parts, so that a sync need not look at what did not change.

Most chains belong to one service port. Rules that were rendered once for an entry are taken over by the
entry's identity, and a difference between two states is sought only among the ports that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testbed.proxy.iptables_chains import PortRules, Surroundings
from testbed.proxy.ruleset import Chains, Ruleset, changed_chains
from testbed.proxy.table import ServicePortEntry


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
    entries: tuple[ServicePortEntry, ...]
    node_ports: tuple[str, ...]
    """The end of KUBE-SERVICES."""
    rules: Mapping[int, PortRules]
    """By the identity of the entry, which the rules keep alive."""
    filter: Chains
    nat: NatChains

    def changed_chains(self, before: object) -> int | None:
        """See `ruleset.Remembering`."""
        if not isinstance(before, State):
            return None
        have, want = narrowed(before, self)
        return changed_chains(have, want)


def narrowed(have: State, want: State) -> tuple[Ruleset, Ruleset]:
    """Both without the chains of the ports that they share: what differs is among the rest."""
    if have.around != want.around:
        gone, new = have.nat.ports, want.nat.ports
    elif have.entries is want.entries:
        gone, new = (), ()
    else:
        gone = tuple([have.rules[key] for key in have.rules.keys() - want.rules.keys()])
        new = tuple([want.rules[key] for key in want.rules.keys() - have.rules.keys()])
    return (
        Ruleset({"filter": have.filter, "nat": have.nat.only(_in_order(gone))}),
        Ruleset({"filter": want.filter, "nat": want.nat.only(_in_order(new))}),
    )


def _in_order(ports: tuple[PortRules, ...]) -> list[PortRules]:
    """Equal input gives equal bytes: the order must not be that of identities."""
    return sorted(ports, key=lambda one: (one.entry.name, one.entry.protocol))
