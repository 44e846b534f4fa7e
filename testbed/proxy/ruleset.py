"""What every proxy back end offers, and the rules it plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from testbed.command import Command
from testbed.proxy.table import ForwardingTable

Chains = Mapping[str, tuple[str, ...]]
"""Chain name -> its rules, each a whole line of the tool's own syntax, in the order of evaluation.
"""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of one node that are ours: table -> chain -> rules.

    A chain stands after every chain that its rules jump to. Of a built-in chain only our own rules
    are listed. `memo` is what its back end may reuse for the next plan; it is no part of the value.
    """

    tables: Mapping[str, Chains]
    memo: object = field(default=None, compare=False, repr=False)
    lingering: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """What is no longer wanted and stays in the kernel until it has ended (see `Drains`)."""

    def count(self) -> dict[str, int]:
        """Number of rules in each table (kube-proxy's `sync_proxy_rules_iptables_total`)."""
        return {name: sum(map(len, chains.values())) for name, chains in self.tables.items()}


@dataclass(frozen=True, slots=True)
class Observed:
    """What a node's kernel holds: our rules, and whether there is anything that is not ours."""

    own: Ruleset
    foreign: bool

    @property
    def empty(self) -> bool:
        """Neither a rule of ours nor anybody else's."""
        return not self.foreign and not any(self.own.tables.values())


class Backend(Protocol):
    """Spells a ForwardingTable for one rule tool. Pure: it plans text and never runs it."""

    @property
    def name(self) -> str:
        """The mode's label in results, as in `iptables-nft`."""

    @property
    def needs(self) -> frozenset[str]:
        """Names of the host features without which the rules cannot be installed."""

    @property
    def sysctls(self) -> Mapping[str, str]:
        """What kube-proxy sets on a node in this mode when it starts."""

    def plan(self, table: ForwardingTable, previous: Ruleset | None = None) -> Ruleset:
        """All rules of the node; `previous` only saves work, the result never depends on it."""

    def commands(self, have: Ruleset | None, want: Ruleset) -> list[Command]:
        """What turns `have` into `want`; nothing where they are equal.

        `have=None` says that the node holds no rule of anybody: the whole rule set goes in at once.
        """

    def observe(self) -> Command:
        """Prints what the node's kernel holds, for `parse`."""

    def parse(self, text: str) -> Observed:
        """What `observe` printed, as rules that compare equal to planned ones."""

    def rewrites(self, have: Ruleset | None, want: Ruleset) -> bool:
        """Whether so much differs that replacing everything is much cheaper than a difference."""


@runtime_checkable
class Drains(Protocol):
    """A back end that withdraws in two steps: first nothing new, then, once nothing is left, away.

    `lingering` of a rule set names what is between the steps; it is found in the kernel again by
    `parse`, so a proxy without memory finishes what another began.
    """

    @property
    def drain_check_s(self) -> float:
        """How often to look whether something has ended, beside after each sync."""

    def lingering(self, have: Ruleset | None, want: Ruleset) -> frozenset[str]:
        """What is between the steps after `commands(have, want)`."""

    def look(self, rules: Ruleset) -> Command:
        """Prints what `finish` reads."""

    def finish(self, text: str, rules: Ruleset) -> tuple[list[Command], Ruleset]:
        """The commands that remove what has ended, and the rules with the rest lingering."""


@runtime_checkable
class Remembering(Protocol):
    """A memo that knows what changed since another, so that nobody has to compare."""

    def changed_chains(self, before: object) -> int | None:
        """How many chains differ from the rule set whose memo is `before`; None: it does not know."""


def changed_chains(have: Ruleset | None, want: Ruleset) -> int:
    """How many chains differ between two rule sets, the vanished ones included."""
    if have is not None and isinstance(want.memo, Remembering):
        noted = want.memo.changed_chains(have.memo)
        if noted is not None:
            return noted
    if have is None:
        return sum(map(len, want.tables.values()))
    return sum(
        _changed(have.tables.get(name, {}), want.tables.get(name, {}))
        for name in {*have.tables, *want.tables}
    )


def _changed(have: Chains, want: Chains) -> int:
    gone = sum(1 for name in have if name not in want)
    return gone + sum(1 for name, rules in want.items() if have.get(name) != rules)
