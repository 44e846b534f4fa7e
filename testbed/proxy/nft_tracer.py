"""What a node's nftables rules do to a new connection, found by reading them: every outcome, with its
probability.

The path is netfilter's: at each hook the base chains by their priority. A packet from a wire takes prerouting,
then input or forward and postrouting; one of the node's own takes output and postrouting. What it cannot read
raises UnknownRuleError, so an outcome is never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from testbed.proxy import nft_rules as rules
from testbed.proxy import packet as packets
from testbed.proxy.nft_foreign import ForeignTables
from testbed.proxy.nft_rules import Around, Rule, parse_rule
from testbed.proxy.packet import Outcome, Packet, UnknownRuleError

_BASE = re.compile(
    r"type (?P<type>filter|nat) hook (?P<hook>\w+) priority (?P<priority>-?\d+); policy accept;"
)
_DECLARES = ("type ", "flags ", "timeout ", "comment ")
_UNKNOWN = "unknown"
_ENDS: Mapping[str, packets.Verdict] = {
    "drop": "dropped",
    "reject": "rejected",
    _UNKNOWN: "unknown",
}


@dataclass(frozen=True, slots=True)
class _Base:
    priority: int
    kind: str
    chain: str
    policy: str = "accept"


@dataclass(frozen=True, slots=True)
class _State:
    """A packet somewhere in a chain. `verdict`: "" while it goes on, `accept`, `drop`, `reject`, or `return`
    where it is done with the chain.
    """

    probability: float
    packet: Packet
    rules: tuple[str, ...] = ()
    verdict: str = ""
    reason: str = ""


class NftTracer:
    """Reads one table: block -> lines, as planned or as parsed from its kernel."""

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Iterable[str]]],
        local_ips: Iterable[str],
        foreign: ForeignTables | None = None,
    ) -> None:
        """Parses every rule. Raises UnknownRuleError.

        With `foreign`, tables of others stand beside: a rule of theirs that is not understood ends the ways
        that meet it, with the verdict `unknown`.
        """
        self._is_lenient = foreign is not None
        self._chains: dict[str, tuple[Rule, ...]] = {}
        self._bases: dict[str, list[_Base]] = {}
        self._maps: dict[str, dict[str, str]] = {}
        sets: dict[str, frozenset[str]] = {}
        for block, lines in [item for blocks in tables.values() for item in blocks.items()]:
            kind, _, name = block.partition(" ")
            content = [line for line in lines if not line.startswith(_DECLARES)]
            if kind == "chain":
                self._chains[name] = tuple([parse_rule(rule) for rule in content])
                self._note_base(name, lines)
            elif kind == "map":
                self._maps[name] = dict(map(_verdict_of, content))
            elif kind == "set":
                sets[name] = frozenset(content)
            else:
                raise UnknownRuleError(f"a block {block!r} is not understood")
        self._around = Around(frozenset(local_ips), sets)
        self._check_references()
        if foreign is not None:
            self._chains.update(foreign.chains)
            for chain, base in foreign.bases.items():
                found = self._bases.setdefault(base.hook, [])
                found.append(_Base(base.priority, base.kind, chain, base.policy))
                found.sort(key=lambda one: (one.priority, one.chain))

    def from_wire(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """A packet that reaches the node from a pod of its own, another node or outside."""
        around = replace(self._around, recent=frozenset(recent))
        states = self._hook("prerouting", [_State(1.0, packet)], around)
        inwards = [state for state in states if around.is_local(state.packet.dst)]
        onwards = [state for state in states if not around.is_local(state.packet.dst)]
        inwards = self._hook("input", inwards, around)
        onwards = self._hook("forward", onwards, around)
        onwards = self._hook("postrouting", onwards, around)
        return tuple([_outcome(state) for state in inwards + onwards])

    def from_node(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        """A packet that a process of the node itself sends."""
        around = replace(self._around, recent=frozenset(recent))
        states = self._hook("output", [_State(1.0, packet)], around)
        states = self._hook("postrouting", states, around)
        inwards = [state for state in states if around.is_local(state.packet.dst)]
        onwards = [state for state in states if not around.is_local(state.packet.dst)]
        # Over the loopback a packet comes in again, its addresses settled: no nat chain sees it.
        inwards = self._hook("prerouting", inwards, around, kinds=("filter",))
        inwards = self._hook("input", inwards, around, kinds=("filter",))
        return tuple([_outcome(state) for state in inwards + onwards])

    # Reading

    def _note_base(self, chain: str, lines: Iterable[str]) -> None:
        for line in lines:
            if line.startswith("type "):
                found = _BASE.fullmatch(line)
                if not found:
                    raise UnknownRuleError(f"{line!r} is not understood in chain {chain}")
                base = _Base(int(found["priority"]), found["type"], chain)
                self._bases.setdefault(found["hook"], []).append(base)
                self._bases[found["hook"]].sort(key=lambda one: (one.priority, one.chain))

    def _check_references(self) -> None:
        """Whatever is gone to or asked is there."""
        verdicts = [text for found in self._maps.values() for text in found.values()]
        for rule in [rule for found in self._chains.values() for rule in found]:
            for one in rule.effects:
                if isinstance(one, rules.Verdict):
                    verdicts.append(one.text)
                elif isinstance(one, rules.Pick):
                    verdicts += one.verdicts
                elif isinstance(one, rules.Dispatch) and one.map not in self._maps:
                    raise UnknownRuleError(f"no map {one.map} for {rule.text!r}")
                elif isinstance(one, rules.Remember) and one.set not in self._around.sets:
                    raise UnknownRuleError(f"no set {one.set} for {rule.text!r}")
        for text in verdicts:
            word, _, chain = text.partition(" ")
            if word in {"goto", "jump"} and chain in self._chains:
                continue
            if word not in {"drop", "reject", "accept"}:
                raise UnknownRuleError(f"no chain for the verdict {text!r}")

    # Walking

    def _hook(
        self,
        hook: str,
        states: list[_State],
        around: Around,
        kinds: tuple[str, ...] = ("filter", "nat", "route"),
    ) -> list[_State]:
        """All states after a hook's base chains; those dropped or rejected take no further part."""
        for base in self._bases.get(hook, ()):
            if base.kind not in kinds:
                continue
            after: list[_State] = []
            for state in states:
                after += [state] if state.verdict else self._through(base, state, around)
            # A base chain's accept, translation or end ends that chain only.
            states = [one if one.verdict in _ENDS else replace(one, verdict="") for one in after]
        return states

    def _through(self, base: _Base, state: _State, around: Around) -> list[_State]:
        """A base chain with its policy."""
        after = self._walk(base.chain, state, around)
        if base.policy != "drop":
            return after
        text = f"policy drop of {base.chain}"
        return [
            one if one.verdict else replace(one, verdict="drop", rules=(*one.rules, text))
            for one in after
        ]

    def _walk(self, chain: str, start: _State, around: Around) -> list[_State]:
        """Where a packet is after a chain; a state without verdict goes on behind it."""
        live, done = [start], list[_State]()
        for rule in self._chains[chain]:
            going: list[_State] = []
            for state in live:
                for one in self._apply(rule, state, around):
                    (done if one.verdict else going).append(one)
            live = going
        ended = [replace(one, verdict="") if one.verdict == "return" else one for one in done]
        return live + ended

    def _apply(self, rule: Rule, state: _State, around: Around) -> list[_State]:
        """What becomes of a packet at a rule."""
        try:
            if not all(match.test(state.packet, around) for match in rule.matches):
                return [state]
        except UnknownRuleError as error:
            if not self._is_lenient:
                raise
            met = (*state.rules, rule.text)
            return [replace(state, verdict=_UNKNOWN, rules=met, reason=error.message)]
        first = rule.effects[0] if rule.effects else None
        if (
            isinstance(first, rules.Dispatch)
            and first.key(state.packet) not in self._maps[first.map]
        ):
            return [state]
        states = [replace(state, rules=(*state.rules, rule.text))]
        for effect in rule.effects:
            after: list[_State] = []
            for one in states:
                after += [one] if one.verdict else self._execute(effect, one, around)
            states = after
        return states

    def _execute(self, effect: rules.Effect, state: _State, around: Around) -> list[_State]:
        packet = state.packet
        match effect:
            case rules.Dispatch():
                return self._decide(self._maps[effect.map][effect.key(packet)], state, around)
            case rules.Pick():
                share = replace(state, probability=state.probability / len(effect.verdicts))
                picked = [self._decide(text, share, around) for text in effect.verdicts]
                return [one for found in picked for one in found]
            case rules.Translate():
                probability = state.probability / len(effect.targets)
                return [
                    replace(state, probability=probability, packet=there, verdict="accept")
                    for there in [_translated(packet, target) for target in effect.targets]
                ]
            case rules.Verdict():
                return self._decide(effect.text, state, around)
            case rules.Masquerade():
                return [replace(state, packet=replace(packet, masqueraded=True), verdict="accept")]
            case _:
                return [replace(state, packet=_altered(effect, packet))]

    def _decide(self, verdict: str, state: _State, around: Around) -> list[_State]:
        word, _, chain = verdict.partition(" ")
        if not chain:
            return [replace(state, verdict=word)]
        after = self._walk(chain, state, around)
        if word == "jump":
            return after
        return [one if one.verdict else replace(one, verdict="return") for one in after]


def _altered(effect: rules.Mark | rules.Remember, packet: Packet) -> Packet:
    if isinstance(effect, rules.Mark):
        return replace(packet, mark=(packet.mark & effect.keep) ^ effect.flip)
    return replace(packet, remembered=(*packet.remembered, effect.set))


def _translated(packet: Packet, target: tuple[str, int]) -> Packet:
    ip, port = target
    return replace(packet, dst=ip, dport=port, translated=True)


def _verdict_of(element: str) -> tuple[str, str]:
    """(key, verdict) of a map's element, which may have a comment between."""
    head, _, verdict = element.rpartition(" : ")
    return head.partition(" comment ")[0], verdict


def _outcome(state: _State) -> Outcome:
    verdict = _ENDS.get(state.verdict, "accepted")
    return Outcome(state.probability, verdict, state.packet, state.rules, state.reason)
