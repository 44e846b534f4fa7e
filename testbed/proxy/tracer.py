"""What a node's rules do to a new connection, found by reading them: every outcome, with its
probability.

The path is netfilter's. A packet from a wire takes PREROUTING, then INPUT or FORWARD and
POSTROUTING; one of the node's own takes OUTPUT and POSTROUTING. Rules that it cannot read raise
UnknownRuleError, so an outcome is never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from testbed.proxy.iptables_foreign import GOTO, NO_TARGET, PASSING, UNREADABLE, Foreign, read_rule
from testbed.proxy.iptables_restore import BUILT_IN
from testbed.proxy.iptables_rules import (
    TERMINAL,
    Rule,
    Surroundings,
    parse_rule,
)
from testbed.proxy.packet import Outcome, Packet, UnknownRuleError, Verdict, split_host_port


@dataclass(frozen=True, slots=True)
class State:
    """A packet on its way."""

    probability: float
    packet: Packet
    rules: tuple[str, ...]
    verdict: str = ""
    """Empty while it goes on; RETURN; UNKNOWN; or the terminal target's name."""
    reason: str = ""


_UNKNOWN = "UNKNOWN"
_ENDS: dict[str, Verdict] = {"DROP": "dropped", "REJECT": "rejected", _UNKNOWN: "unknown"}


class Tracer:
    """Reads the rules of one node: table -> chain -> rules, as planned or as saved from its kernel."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Iterable[str]]],
        local_ips: Iterable[str],
        foreign: Foreign | None = None,
    ) -> None:
        """Parses every rule. Raises UnknownRuleError.

        With `foreign` they may be anybody's: a rule that is not understood then ends the ways that meet it,
        with the verdict `unknown`.
        """
        self._local_ips = frozenset(local_ips)
        self._foreign = foreign
        read = parse_rule if foreign is None else read_rule
        self._tables = {
            table: {name: tuple(read(rule) for rule in rules) for name, rules in chains.items()}
            for table, chains in tables.items()
        }
        if foreign is None:
            self._check_jumps()

    def from_wire(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """A packet that reaches the node from a pod of its own, another node or outside."""
        around = self._around(recent)
        states = self.hook("PREROUTING", ("raw", "mangle", "nat"), [State(1.0, packet, ())], around)
        inwards = [state for state in states if around.is_local(state.packet.dst)]
        onwards = [state for state in states if not around.is_local(state.packet.dst)]
        inwards = self.hook("INPUT", ("mangle", "filter", "security", "nat"), inwards, around)
        onwards = self.hook("FORWARD", ("mangle", "filter", "security"), onwards, around)
        onwards = self.hook("POSTROUTING", ("mangle", "nat"), onwards, around)
        return tuple(outcome_of(state) for state in inwards + onwards)

    def from_node(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """A packet that a process of the node itself sends."""
        around = self._around(recent)
        tables = ("raw", "mangle", "nat", "filter", "security")
        states = self.hook("OUTPUT", tables, [State(1.0, packet, ())], around)
        states = self.hook("POSTROUTING", ("mangle", "nat"), states, around)
        inwards = [state for state in states if around.is_local(state.packet.dst)]
        onwards = [state for state in states if not around.is_local(state.packet.dst)]
        # Over the loopback a packet comes in again, its addresses settled: table nat has seen it.
        around = replace(around, in_interface="lo")
        inwards = self.hook("INPUT", ("mangle", "filter", "security"), inwards, around)
        return tuple(outcome_of(state) for state in inwards + onwards)

    def _around(self, recent: Iterable[str]) -> Surroundings:
        foreign = self._foreign or Foreign()
        return Surroundings(
            self._local_ips,
            frozenset(recent),
            in_interface=foreign.in_interface,
            out_interface=foreign.out_interface,
        )

    def _check_jumps(self) -> None:
        for table, chains in self._tables.items():
            for rules in chains.values():
                for rule in rules:
                    name = rule.target.name
                    if name not in chains and name not in TERMINAL | {"MARK", "RETURN"}:
                        raise UnknownRuleError(
                            f"no chain {name} in table {table} for {rule.text!r}"
                        )

    def hook(
        self, chain: str, tables: Iterable[str], states: list[State], around: Surroundings
    ) -> list[State]:
        """All states after a hook's tables; those that are dropped or rejected take no further
        part.
        """
        for table in tables:
            chains = self._tables.get(table, {})
            if chain not in chains or chain not in BUILT_IN[table]:
                continue
            after: list[State] = []
            for state in states:
                if state.verdict in _ENDS:
                    after.append(state)
                else:
                    after += self._by_policy(table, chain, self._walk(chains, chain, state, around))
            # A table's ACCEPT, DNAT or MASQUERADE ends that table only.
            states = [one if one.verdict in _ENDS else replace(one, verdict="") for one in after]
        return states

    def _by_policy(self, table: str, chain: str, states: list[State]) -> list[State]:
        """What the built-in chain does with those that fell off its end; and where it was not understood."""
        if self._foreign is None:
            return states
        policy = self._foreign.policies.get(table, {}).get(chain, "ACCEPT")
        found: list[State] = []
        for one in states:
            if one.verdict == _UNKNOWN:
                found.append(replace(one, reason=f"table {table}: {one.reason}"))
            elif not one.verdict and policy == "DROP":
                rules = (*one.rules, f"policy DROP of {chain} in table {table}")
                found.append(replace(one, verdict="DROP", rules=rules))
            else:
                found.append(one)
        return found

    def _walk(
        self,
        chains: Mapping[str, tuple[Rule, ...]],
        chain: str,
        start: State,
        around: Surroundings,
    ) -> list[State]:
        """Where a packet is after a chain; a state without verdict fell off its end."""
        live, done = [start], list[State]()
        for rule in chains[chain]:
            going: list[State] = []
            for state in live:
                try:
                    share = rule.applies(state.packet, around)
                except UnknownRuleError as error:
                    done.append(self._not_understood(rule, state, error))
                    continue
                if share < 1.0:
                    going.append(replace(state, probability=state.probability * (1.0 - share)))
                if share > 0.0:
                    hit = replace(
                        state,
                        probability=state.probability * share,
                        rules=(*state.rules, rule.text),
                    )
                    after = self._apply(chains, rule, hit, around)
                    going += [one for one in after if not one.verdict]
                    done += [one for one in after if one.verdict]
            live = going
        returned = [replace(one, verdict="") for one in done if one.verdict == "RETURN"]
        return live + returned + [one for one in done if one.verdict != "RETURN"]

    def _not_understood(self, rule: Rule, state: State, error: UnknownRuleError) -> State:
        """Raises the error where every rule has to be understood."""
        if self._foreign is None:
            raise error
        reason = f"{error.message} in {rule.text!r}"
        return replace(state, verdict=_UNKNOWN, rules=(*state.rules, rule.text), reason=reason)

    def _apply(
        self,
        chains: Mapping[str, tuple[Rule, ...]],
        rule: Rule,
        state: State,
        around: Surroundings,
    ) -> list[State]:
        target, packet = rule.target, state.packet
        if rule.remember:
            packet = replace(packet, remembered=(*packet.remembered, rule.remember))
        if target.name in chains:
            after = self._walk(chains, target.name, replace(state, packet=packet), around)
            if target.argument != GOTO:
                return after
            return [one if one.verdict else replace(one, verdict="RETURN") for one in after]
        if target.name in PASSING or target.name == NO_TARGET:
            return [replace(state, packet=packet)]
        if target.name not in TERMINAL | {"MARK", "RETURN"} or target.argument == UNREADABLE:
            error = UnknownRuleError(f"target {target.name} is not understood")
            return [self._not_understood(rule, replace(state, rules=state.rules[:-1]), error)]
        if target.name == "MARK":
            return [
                replace(state, packet=replace(packet, mark=_marked(packet.mark, target.argument)))
            ]
        if target.name == "DNAT":
            ip, port = _destination(target.argument, packet.dport)
            packet = replace(packet, dst=ip, dport=port, translated=True)
        elif target.name == "MASQUERADE":
            packet = replace(packet, masqueraded=True)
        return [replace(state, packet=packet, verdict=target.name)]


def _destination(argument: str, dport: int) -> tuple[str, int]:
    """Of `ip:port`, or of an address alone."""
    if argument.count(":") == 0 or (argument.count(":") > 1 and not argument.startswith("[")):
        return argument, dport
    return split_host_port(argument)


def _marked(mark: int, argument: str) -> int:
    """MARK --set-xmark value/mask: zero the bits of the mask, then exclusive-or the value."""
    value, _, mask = argument.partition("/")
    return (mark & ~int(mask, 16)) ^ int(value, 16)


def outcome_of(state: State) -> Outcome:
    """How a way ended that has ended."""
    verdict = _ENDS.get(state.verdict, "accepted")
    return Outcome(state.probability, verdict, state.packet, state.rules, state.reason)
