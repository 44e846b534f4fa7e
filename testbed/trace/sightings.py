"""Frames of many interfaces -> the way of one request, and of what came back: where each was seen.

A packet is known again behind a rewriting of its addresses by what no rule rewrites: the sequence number of
TCP's first packet, the payload of a datagram. A proxy's second connection is known by the request that it
carries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from testbed.packets.decode import Packet, decode
from testbed.packets.pcapng import Frame, Interface

Ends = tuple[str, int, str, int]
"""Source address and port, destination address and port."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet at an interface; `t_ns` is CLOCK_REALTIME."""

    t_ns: int
    machine: str
    interface: str
    direction: str
    packet: Packet

    @property
    def ends(self) -> Ends:
        return ends_of(self.packet)


@dataclass(frozen=True, slots=True)
class Leg:
    """A connection (or a datagram and its answer): the way of its first packet, and of the first one back."""

    request: tuple[Sighting, ...]
    reply: tuple[Sighting, ...]


def sightings(frames: Iterable[tuple[Interface, Frame]]) -> list[Sighting]:
    """Every packet in the order of time."""
    found = [
        Sighting(
            frame.t_ns,
            interface.machine,
            interface.name.rpartition("/")[2],
            frame.direction,
            decode(frame.data, interface.link_type),
        )
        for interface, frame in frames
    ]
    return sorted(found, key=lambda one: one.t_ns)


def legs(seen: Sequence[Sighting], bound: Ends, seq: int | None, marker: bytes) -> tuple[Leg, ...]:
    """The request that the socket `bound` sent, then what proxies made of it; none where nothing left it.

    `seq` is that of its first packet, where it is known otherwise: a node's own packets may be rewritten before
    they pass any interface.
    """
    found: list[Leg] = []
    known: set[Ends] = set()
    for one in seen:
        packet = one.packet
        if packet.is_syn and (one.ends[:2] == bound[:2] or packet.seq == seq):
            # On the loopback an answer is seen with the addresses that were dialled.
            leg, ends = _connection(seen, packet.seq, {bound})
            known |= ends
            found.append(leg)
            break
    for one in seen:
        if marker in one.packet.payload and one.ends not in known:
            start = next((syn for syn in seen if syn.packet.is_syn and syn.ends == one.ends), None)
            if start is not None:
                leg, ends = _connection(seen, start.packet.seq, set())
                known |= ends
                found.append(leg)
    return tuple(found)


def datagram(seen: Sequence[Sighting], bound: Ends, marker: bytes) -> tuple[Leg, ...]:
    """The way of a datagram, through whatever passes it on, and back; none where nothing left its socket."""
    request: list[Sighting] = []
    reply: list[Sighting] = []
    ends = {bound}
    for one in seen:
        if _answers(one.packet, ends, None):
            reply.append(one)
        elif one.packet.protocol == "udp" and marker in one.packet.payload:
            ends.add(one.ends)
            request.append(one)
    return (Leg(_once(request), _once(reply)),) if request else ()


def ends_of(packet: Packet) -> Ends:
    return packet.src, packet.sport, packet.dst, packet.dport


def is_first(packet: Packet, protocol: str, seq: int, marker: bytes) -> bool:
    """Whether it is the first packet of a leg: by its sequence number, or by how its payload begins."""
    if packet.protocol != protocol:
        return False
    if protocol == "tcp":
        return packet.is_syn and packet.seq == seq
    # nf_tables tells the first bytes of a datagram only.
    return bool(packet.payload) and marker.startswith(packet.payload[: len(marker)])


def _connection(seen: Sequence[Sighting], seq: int, dialled: set[Ends]) -> tuple[Leg, set[Ends]]:
    request = _once(one for one in seen if one.packet.is_syn and one.packet.seq == seq)
    ends = {one.ends for one in request} | dialled
    back = [one for one in seen if _answers(one.packet, ends, seq + 1 & 0xFFFFFFFF)]
    return Leg(request, _alike(back)), ends


def _answers(packet: Packet, ends: set[Ends], ack: int | None) -> bool:
    """Whether a packet is the first answer to one of these, or an error about it."""
    if packet.quoted is not None:
        return ends_of(packet.quoted) in ends
    src, sport, dst, dport = ends_of(packet)
    if (dst, dport, src, sport) not in ends:
        return False
    return ack is None or (packet.ack == ack and bool({"S", "R"} & set(packet.flags)))


def _alike(back: Sequence[Sighting]) -> tuple[Sighting, ...]:
    """Those of the first kind of answer: a reset after the handshake is another story."""
    if not back:
        return ()
    kind = back[0].packet.protocol, back[0].packet.flags
    return _once(one for one in back if (one.packet.protocol, one.packet.flags) == kind)


def _once(found: Iterable[Sighting]) -> tuple[Sighting, ...]:
    """Without what was sent again."""
    first: dict[tuple[str, str, str, Ends], Sighting] = {}
    for one in found:
        first.setdefault((one.machine, one.interface, one.direction, one.ends), one)
    return tuple(first.values())
