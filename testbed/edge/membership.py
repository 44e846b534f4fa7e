"""Who of a group of speakers is there, found out by messages between them: SWIM, as in hashicorp/memberlist.

Each probes one other at a time; who does not answer, not to three others either, is suspected, and dead unless
it objects in time. What is found out travels with the messages. A state machine: times and chance come in,
messages go out. Beside memberlist: where it tries again by TCP, this does by UDP; left out is its own health
score (Lifeguard's "awareness").

Sources: memberlist's state.go, suspicion.go, queue.go, util.go and config.go (DefaultLANConfig); MetalLB,
internal/speakerlist.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from testbed.model.load_balancer import L2

GOSSIP_INTERVAL_S, GOSSIP_NODES = 0.2, 3
GOSSIP_TO_THE_DEAD_S = 30.0
"""So long the dead are told what is said of them, in case they live."""
RETRANSMIT_MULT = 4
SUSPICION_MAX_TIMEOUT_MULT = 6
JOIN_RETRY_S, JOIN_PATIENCE_S = 1.0, 10.0
"""memberlist joins by TCP: lost packets are sent again, for so long (TCPTimeout)."""

ALIVE, SUSPECT, DEAD = "alive", "suspect", "dead"
Message = dict[str, Any]
Chance = Callable[[int], int]
"""A number from 0 up to, but not including, the one that is given."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A message for a peer."""

    to: str
    message: Message


@dataclass(frozen=True, slots=True)
class Turn:
    """What has changed: a peer is a member now, or no longer."""

    peer: str
    state: str
    why: str
    """Who said so."""


@dataclass(slots=True)
class _Peer:
    state: str
    incarnation: int
    since_s: float
    accusers: set[str] = field(default_factory=set)
    """Who suspects it."""


@dataclass(slots=True)
class _Probe:
    target: str
    number: int
    began_s: float
    indirect: bool = False


@dataclass(slots=True)
class _Rumour:
    claim: Message
    left: int


class Membership:
    """One speaker's view."""

    def __init__(self, own: str, settings: L2, chance: Chance, now_s: float) -> None:
        self._own = own
        self._settings = settings
        self._chance = chance
        self._incarnation = 1
        self._peers: dict[str, _Peer] = {}
        self._known: frozenset[str] = frozenset()
        """Who should be there."""
        self._order: list[str] = []
        self._number = 0
        self._probe: _Probe | None = None
        self._probe_at_s = now_s + settings.probe_interval_s * chance(1000) / 1000
        self._gossip_at_s = now_s
        self._rejoin_at_s = now_s
        self._joining: dict[str, tuple[float, float]] = {}
        """Peers that have not answered yet: next try, last try."""
        self._relays: dict[int, tuple[str, int, float]] = {}
        """Probes for others, by number: who asked, its own number, until when an answer is of use."""
        self._rumours: dict[str, _Rumour] = {}
        self.turns: list[Turn] = []
        """For whoever takes them away."""

    @property
    def members(self) -> frozenset[str]:
        """Who is there, oneself and those that are only suspected among them."""
        there = (name for name, peer in self._peers.items() if peer.state != DEAD)
        return frozenset((self._own, *there))

    @property
    def wake_at_s(self) -> float:
        """When `due` has something to do."""
        times = [self._probe_at_s, self._rejoin_at_s, *(at for at, _ in self._joining.values())]
        if self._probe is not None and not self._probe.indirect:
            times.append(self._probe.began_s + self._settings.probe_timeout_s)
        if self._rumours:
            times.append(self._gossip_at_s)
        times += [self._deadline_s(peer) for peer in self._peers.values() if peer.state == SUSPECT]
        return min(times)

    @property
    def is_joining(self) -> bool:
        """Whether somebody who should be there has not answered yet."""
        return bool(self._joining)

    def know(self, names: Iterable[str], now_s: float) -> None:
        """These should be there, oneself among them: those that are not are asked to join."""
        self._known = frozenset(names) - {self._own}
        self._join(now_s)

    def due(self, now_s: float) -> list[Sending]:
        """What is to be sent by now."""
        sent = [*self._joins(now_s), *self._probing(now_s)]
        for name, peer in list(self._peers.items()):
            if peer.state == SUSPECT and self._deadline_s(peer) <= now_s:
                self._dead(name, peer.incarnation, self._own, now_s)
        if self._rumours and self._gossip_at_s <= now_s:
            self._gossip_at_s = now_s + GOSSIP_INTERVAL_S
            told = [name for name, peer in self._peers.items() if self._is_told(peer, now_s)]
            sent += [Sending(one, {"type": "gossip"}) for one in self._some(told, GOSSIP_NODES)]
        return [self._with_rumours(one) for one in sent]

    def heard(self, message: Message, now_s: float) -> list[Sending]:
        """What a message from a peer leads to.

        Raises ValueError, LookupError, TypeError or AttributeError for what is no message.
        """
        sender, kind, sent = message["from"], message["type"], []
        for claim in message.get("rumours", ()):
            self._believe(claim, sender, now_s)
        if kind == "ping":
            sent.append(Sending(sender, {"type": "ack", "number": message["number"]}))
        elif kind == "indirect":
            number, until_s = self._next(), now_s + self._settings.probe_interval_s
            self._relays = {n: one for n, one in self._relays.items() if one[2] > now_s}
            self._relays[number] = (sender, message["number"], until_s)
            sent.append(Sending(message["target"], {"type": "ping", "number": number}))
        elif kind == "ack":
            relayed = self._relays.pop(message["number"], None)
            if relayed is not None:
                sent.append(Sending(relayed[0], {"type": "ack", "number": relayed[1]}))
            elif self._probe is not None and self._probe.number == message["number"]:
                self._probe = None
        elif kind in {"push", "pull"}:
            self._joining.pop(sender, None)
            for claim in message["states"]:
                # Whom the other has buried is asked first.
                softened = {**claim, "is": SUSPECT} if claim["is"] == DEAD else claim
                self._believe(softened, sender, now_s)
            if kind == "push":
                sent.append(Sending(sender, {"type": "pull", "states": self._states()}))
        return [self._with_rumours(one) for one in sent]

    # Joining

    def _join(self, now_s: float) -> None:
        self._rejoin_at_s = now_s + self._settings.rejoin_interval_s
        for name in self._known - self.members:
            self._joining.setdefault(name, (now_s, now_s + JOIN_PATIENCE_S))

    def _joins(self, now_s: float) -> Iterator[Sending]:
        if self._rejoin_at_s <= now_s:
            self._join(now_s)
        for name, (at_s, last_s) in list(self._joining.items()):
            if at_s > now_s:
                continue
            self._joining[name] = (now_s + JOIN_RETRY_S, last_s)
            if now_s + JOIN_RETRY_S > last_s or name not in self._known:
                del self._joining[name]
            yield Sending(name, {"type": "push", "states": self._states()})

    def _states(self) -> list[Message]:
        own = _claim(ALIVE, self._own, self._incarnation)
        others = (_claim(one.state, name, one.incarnation) for name, one in self._peers.items())
        return [own, *others]

    # Probing

    def _probing(self, now_s: float) -> Iterator[Sending]:
        probe = self._probe
        if probe is not None and now_s >= probe.began_s + self._settings.probe_timeout_s:
            if not probe.indirect:
                probe.indirect = True
                others = [one for one in self._there() if one != probe.target]
                for one in self._some(others, self._settings.indirect_checks):
                    asked = {"type": "indirect", "target": probe.target, "number": probe.number}
                    yield Sending(one, asked)
                yield Sending(probe.target, {"type": "ping", "number": probe.number})
            if now_s >= probe.began_s + self._settings.probe_interval_s:
                self._probe = None
                peer = self._peers[probe.target]
                self._suspect(probe.target, peer.incarnation, self._own, now_s)
        if now_s >= self._probe_at_s:
            self._probe_at_s = now_s + self._settings.probe_interval_s
            target = self._next_target()
            if target is not None:
                self._probe = _Probe(target, self._next(), now_s)
                yield Sending(target, {"type": "ping", "number": self._probe.number})

    def _next_target(self) -> str | None:
        """Each in turn; the order is drawn anew when all have been asked."""
        for _ in range(2):
            while self._order:
                name = self._order.pop()
                if name in self._peers and self._peers[name].state != DEAD:
                    return name
            self._order = self._some(sorted(self._peers), len(self._peers))
        return None

    def _next(self) -> int:
        self._number += 1
        return self._number

    # Claims

    def _believe(self, claim: Message, sender: str, now_s: float) -> None:
        name, incarnation = claim["of"], claim["incarnation"]
        if not (isinstance(name, str) and isinstance(incarnation, int)):
            raise TypeError("a name and a number are needed")
        if claim["is"] == ALIVE:
            self._alive(name, incarnation, now_s)
        elif claim["is"] == SUSPECT:
            self._suspect(name, incarnation, claim.get("by", sender), now_s)
        else:
            self._dead(name, incarnation, claim.get("by", sender), now_s)

    def _alive(self, name: str, incarnation: int, now_s: float) -> None:
        if name == self._own:
            if incarnation > self._incarnation:  # one's own former life
                self._object(incarnation)
            return
        peer = self._peers.get(name)
        if peer is not None and incarnation <= peer.incarnation:
            return
        was = peer.state if peer is not None else DEAD
        self._peers[name] = _Peer(ALIVE, incarnation, now_s)
        self._spread(_claim(ALIVE, name, incarnation))
        if was == DEAD:
            self.turns.append(Turn(name, ALIVE, name))

    def _suspect(self, name: str, incarnation: int, by: str, now_s: float) -> None:
        if name == self._own:
            if incarnation >= self._incarnation:
                self._object(incarnation)
            return
        peer = self._peers.get(name)
        if peer is None or incarnation < peer.incarnation or peer.state == DEAD:
            return
        if peer.state == SUSPECT and (
            by in peer.accusers or len(peer.accusers) > self._needed_accusers()
        ):
            return
        if peer.state == ALIVE:
            self._peers[name] = peer = _Peer(SUSPECT, incarnation, now_s)
            self.turns.append(Turn(name, SUSPECT, by))
        peer.accusers.add(by)
        self._spread(_claim(SUSPECT, name, incarnation, by))

    def _dead(self, name: str, incarnation: int, by: str, now_s: float) -> None:
        if name == self._own:
            if incarnation >= self._incarnation:
                self._object(incarnation)
            return
        peer = self._peers.get(name)
        if peer is None or incarnation < peer.incarnation or peer.state == DEAD:
            return
        self._peers[name] = _Peer(DEAD, incarnation, now_s)
        self._spread(_claim(DEAD, name, incarnation, by))
        self.turns.append(Turn(name, DEAD, by))

    def _object(self, incarnation: int) -> None:
        self._incarnation = incarnation + 1
        self._spread(_claim(ALIVE, self._own, self._incarnation))

    def _needed_accusers(self) -> int:
        """Others who have to confirm a suspicion for the shortest delay; in small groups none."""
        needed = self._settings.suspicion_mult - 2
        return needed if len(self.members) - 2 >= needed > 0 else 0

    def _deadline_s(self, peer: _Peer) -> float:
        """When a suspected peer is dead: the sooner, the more suspect it."""
        scale = max(1.0, math.log10(max(1, len(self.members))))
        least_s = self._settings.suspicion_mult * scale * self._settings.probe_interval_s
        needed = self._needed_accusers()
        if not needed:
            return peer.since_s + least_s
        most_s = SUSPICION_MAX_TIMEOUT_MULT * least_s
        share = math.log(len(peer.accusers)) / math.log(needed + 1)
        return peer.since_s + max(least_s, most_s - share * (most_s - least_s))

    # Gossip

    def _spread(self, claim: Message) -> None:
        left = RETRANSMIT_MULT * math.ceil(math.log10(len(self.members) + 1))
        self._rumours[claim["of"]] = _Rumour(claim, left)

    def _with_rumours(self, sending: Sending) -> Sending:
        claims = []
        peer = self._peers.get(sending.to)
        if peer is not None and peer.state != ALIVE:  # it is to hear it, and object
            by = next(iter(sorted(peer.accusers)), self._own)
            claims.append(_claim(peer.state, sending.to, peer.incarnation, by))
        for name, rumour in list(self._rumours.items()):
            claims.append(rumour.claim)
            rumour.left -= 1
            if rumour.left <= 0:
                del self._rumours[name]
        return Sending(sending.to, {**sending.message, "from": self._own, "rumours": claims})

    def _is_told(self, peer: _Peer, now_s: float) -> bool:
        return peer.state != DEAD or now_s - peer.since_s < GOSSIP_TO_THE_DEAD_S

    def _there(self) -> list[str]:
        return [name for name, peer in self._peers.items() if peer.state == ALIVE]

    def _some(self, names: list[str], count: int) -> list[str]:
        left, found = list(names), list[str]()
        while left and len(found) < count:
            found.append(left.pop(self._chance(len(left))))
        return found


def _claim(state: str, name: str, incarnation: int, by: str = "") -> Message:
    claim: Message = {"is": state, "of": name, "incarnation": incarnation}
    return {**claim, "by": by} if by else claim
