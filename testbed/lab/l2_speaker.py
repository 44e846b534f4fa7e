"""A node's speaker of provider l2: answers for the addresses that are its to answer for, and finds out by
messages which other speakers live. One process per node, in its namespace: it dies with its node, and is cut
off as it is.

The kernel cannot answer in its place: a local address would be taken from other nodes' rules (mode ipvs has all
of them on every node), and proxy ARP answers nobody on the link that leads to the address.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any

from testbed.clock import now_ns, now_s
from testbed.edge.l2 import Candidates, answered_by
from testbed.edge.l2_frames import QUESTIONS, answer, question, solicited_node, unasked
from testbed.edge.membership import Membership, Sending
from testbed.kernel.packet_socket import Tap
from testbed.model.load_balancer import L2
from testbed.traffic.channel import TERMINATED, Channel

PORT = 7946
"""memberlist's, over UDP."""
_UNASKED_S, _UNASKED_FOR_S = 1.1, 5.0
"""A new holder of an address says so again and again (MetalLB, internal/layer2/announcer.go, spam)."""
_FIRST_LOOK_S = 2.0
"""A new speaker waits so long for the others' answers before it takes itself for the only one."""
_LARGEST = 65_535
_A_STRANGERS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What packets lead to that no speaker has sent."""


class _Link:
    """An interface on which questions are heard and answered."""

    def __init__(self, name: str) -> None:
        self.tap = Tap(name, QUESTIONS)
        self.index = socket.if_nametoindex(name)
        self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._out.bind((name, 0))
        self.mac: bytes = self._out.getsockname()[4]

    def send(self, frame: bytes) -> None:
        """Or not, where the link is down."""
        with suppress(OSError):
            self._out.send(frame)


class _Speaker:
    """`config`: node, address, links (names), settings (L2), seed."""

    def __init__(self, config: dict[str, Any], control: Channel) -> None:
        self._node: str = config["node"]
        self._control = control
        self.links = [_Link(name) for name in config["links"]]
        chance = random.Random(config["seed"]).randrange
        settings = L2.model_validate(config["settings"])
        self._membership = Membership(self._node, settings, chance, now_s())
        self._look_at_s = now_s() + _FIRST_LOOK_S
        self._looking = True
        family = socket.AF_INET6 if ":" in config["address"] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((config["address"], PORT))
        self.socket.setblocking(False)
        self._listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._groups: set[IPv6Address] = set()
        """That `_listener` is in."""
        self._peers: dict[str, str] = {}
        self._services: tuple[Candidates, ...] = ()
        self._mine: dict[str, str] = {}
        """Addresses, each with a service that has it."""
        self._repeats: dict[str, tuple[float, float]] = {}
        """Of addresses taken lately: when to say so again, and until when."""

    @property
    def wake_at_s(self) -> float:
        """When `work` has something to do."""
        times = [self._membership.wake_at_s, *(at for at, _ in self._repeats.values())]
        return min([*times, self._look_at_s] if self._looking else times)

    def told(self, message: dict[str, Any]) -> None:
        """By the API server: who else has a speaker, and which services there are."""
        if "peers" in message:
            self._peers = message["peers"]
            self._membership.know(self._peers, now_s())
        if "services" in message:
            self._services = tuple(map(Candidates.from_json, message["services"]))
        self._decide()

    def asked(self, link: _Link) -> None:
        """Answer questions about addresses that are ours."""
        for seen in link.tap.take():
            found = question(seen.data) if seen.direction == "in" else None
            if found is not None and str(found.address) in self._mine:
                link.send(answer(found, link.mac))

    def heard(self) -> None:
        """What other speakers say."""
        with suppress(BlockingIOError, ConnectionError):
            while True:
                data = self.socket.recv(_LARGEST)
                with suppress(*_A_STRANGERS):
                    self._send(self._membership.heard(json.loads(data), now_s()))
        self._decide()

    def work(self) -> None:
        """What is due."""
        self._send(self._membership.due(now_s()))
        for address, (at_s, last_s) in list(self._repeats.items()):
            if at_s <= now_s():
                self._announce(address)
                self._repeats[address] = (at_s + _UNASKED_S, last_s)
                if at_s + _UNASKED_S > last_s:
                    del self._repeats[address]
        self._decide()

    def _send(self, sendings: list[Sending]) -> None:
        for one in sendings:
            if one.to in self._peers:
                with suppress(OSError):  # nobody, or no way, there
                    data = json.dumps(one.message).encode()
                    self.socket.sendto(data, (self._peers[one.to], PORT))

    def _decide(self) -> None:
        for turn in self._membership.turns:
            self._say(f"speaker-{turn.state}", turn.peer, {"by": turn.why})
        self._membership.turns.clear()
        waits = not self._peers or self._membership.is_joining
        if self._looking and waits and now_s() < self._look_at_s:
            return
        self._looking = False
        mine = answered_by(self._node, self._services, self._membership.members)
        self._listen(mine)
        for address in sorted(self._mine.keys() - mine.keys()):
            self._repeats.pop(address, None)
            self._say("withdrawn", address, {"service": self._mine[address]})
        for address in sorted(mine.keys() - self._mine.keys()):
            self._announce(address)
            now = now_s()
            self._repeats[address] = (now + _UNASKED_S, now + _UNASKED_FOR_S)
            self._say("announcing", address, {"service": mine[address]})
        self._mine = mine

    def _announce(self, address: str) -> None:
        for link in self.links:
            for frame in unasked(ip_address(address), link.mac):
                link.send(frame)

    def _listen(self, addresses: Iterable[str]) -> None:
        """Be in the groups that questions for IPv6 addresses go to, and in no others."""
        found = map(ip_address, addresses)
        wanted = {solicited_node(one) for one in found if isinstance(one, IPv6Address)}
        for group in wanted ^ self._groups:
            option = socket.IPV6_JOIN_GROUP if group in wanted else socket.IPV6_LEAVE_GROUP
            for link in self.links:
                member = group.packed + link.index.to_bytes(4, sys.byteorder)
                with suppress(OSError):  # the link is gone
                    self._listener.setsockopt(socket.IPPROTO_IPV6, option, member)
        self._groups = wanted

    def _say(self, kind: str, what: str, detail: dict[str, Any]) -> None:
        self._control.say({"t_ns": now_ns(), "kind": kind, "object": what, "detail": detail})


def main(config: dict[str, Any], channel: socket.socket) -> None:
    """Speak until told to stop. Says {"ready": true}, then what it takes, gives up and finds out."""
    control = Channel(channel)
    speaker = _Speaker(config, control)
    control.say({"ready": True})
    with selectors.DefaultSelector() as selector:
        for fd in control.fds:
            selector.register(fd, selectors.EVENT_READ)
        selector.register(speaker.socket, selectors.EVENT_READ, speaker.heard)
        for link in speaker.links:
            selector.register(link.tap, selectors.EVENT_READ, link)
        while True:
            for key, _ in selector.select(max(0.0, speaker.wake_at_s - now_s())):
                if isinstance(key.data, _Link):
                    speaker.asked(key.data)
                elif key.data is not None:
                    key.data()
            for message in control.receive():
                if message == TERMINATED:
                    return
                speaker.told(message)
            speaker.work()
