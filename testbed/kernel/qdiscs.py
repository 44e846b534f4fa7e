"""Queueing disciplines of an interface as values, to the kernel and back (rtnetlink; linux/pkt_sched.h).

What is set and what the kernel says there is are the same values: to compare them is to verify.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from testbed.kernel.netlink import Message, attribute, attributes

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
ROOT = 0xFFFFFFFF
"""What a root qdisc hangs on (TC_H_ROOT)."""
_CREATE, _REPLACE = 0x400, 0x100
_TCMSG = struct.Struct("=BxxxiIII")
_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2, _TCA_STATS_QUEUE = 1, 2, 7, 3
_TCA_TBF_PARMS, _TCA_TBF_RATE64, _TCA_TBF_BURST = 1, 4, 6
_TCA_NETEM_RATE, _TCA_NETEM_RATE64 = 6, 8
_TCA_NETEM_LATENCY64, _TCA_NETEM_JITTER64 = 10, 11
_RATESPEC = struct.Struct("=BBHhHI")
_TBF = struct.Struct("=III")
_NETEM = struct.Struct("=IIIIII")
_NETEM_RATE = struct.Struct("=IiIi")
_QUEUE_STATS = struct.Struct("=III")
_U32, _U64, _S64 = struct.Struct("=I"), struct.Struct("=Q"), struct.Struct("=q")
_MOST_U32 = 2**32 - 1
"""In a field of 32 bits: the true number is in the attribute of 64."""
_ETHERNET = 1
"""TC_LINKLAYER_ETHERNET: the kernel itself works out how long a packet takes."""


@dataclass(frozen=True, slots=True)
class Tbf:
    """A token bucket (tc-tbf(8))."""

    rate_bytes_s: int
    limit: int
    """Bytes; packets where a `Pfifo` holds them: the bucket hands its own limit on to it."""
    burst_bytes: int = field(default=0, compare=False)
    """What may leave at once. Larger packets are cut into frames first. The kernel never tells it."""


@dataclass(frozen=True, slots=True)
class Netem:
    """A line that delays and loses packets (tc-netem(8))."""

    delay_ns: int
    jitter_ns: int
    loss: int
    """A share of 2**32 - 1."""
    rate_bytes_s: int
    """With a rate, however high, no packet overtakes another."""
    limit: int
    """Packets."""


@dataclass(frozen=True, slots=True)
class Pfifo:
    """A queue of so many packets."""

    limit: int


Qdisc = Tbf | Netem | Pfifo
_KINDS = {Tbf: "tbf", Netem: "netem", Pfifo: "pfifo"}


@dataclass(frozen=True, slots=True)
class Placed:
    """A qdisc and where it hangs; `major` 2 below 1 is `parent 1:1 handle 2:` in the words of tc."""

    major: int
    below: int
    """The major number of its parent; 0: it is the root."""
    qdisc: Qdisc

    @property
    def same_place(self) -> tuple[int, int, type]:
        """Equal where one can be changed into the other."""
        return self.major, self.below, type(self.qdisc)


@dataclass(frozen=True, slots=True)
class Found:
    """A qdisc as the kernel lists it. `placed` None: one of a kind that is not set here."""

    kind: str
    placed: Placed | None
    queued: int
    """Packets that are in it now."""


def set_qdisc(index: int, placed: Placed, *, change: bool = False) -> Message:
    """`tc qdisc replace` on interface `index`; with `change`, of one that is there, in place: what waits in
    it stays.
    """
    payload = (
        _TCMSG.pack(0, index, placed.major << 16, _parent(placed), 0)
        + attribute(_TCA_KIND, _KINDS[type(placed.qdisc)].encode() + b"\0")
        + attribute(_TCA_OPTIONS, _encode(placed.qdisc))
    )
    flags = 0 if change else _CREATE | _REPLACE
    return Message(RTM_NEWQDISC, flags, payload, f"qdisc {placed.qdisc} on link {index}")


def delete_root(index: int) -> Message:
    """No qdiscs any more: an interface of its kind has none by default. What waits in them is lost."""
    payload = _TCMSG.pack(0, index, 0, ROOT, 0)
    return Message(RTM_DELQDISC, 0, payload, f"delete the qdiscs of link {index}")


def listing() -> Message:
    """For `Netlink.dump`: all qdiscs of the namespace."""
    return Message(RTM_GETQDISC, 0, _TCMSG.pack(0, 0, 0, 0, 0), "list the qdiscs")


def found_on(index: int, payload: bytes) -> Found | None:
    """A qdisc of a listing; None: it is another interface's."""
    _, ifindex, handle, parent, _ = _TCMSG.unpack_from(payload)
    if ifindex != index:
        return None
    said = attributes(payload[_TCMSG.size :])
    kind = said[_TCA_KIND].rstrip(b"\0").decode()
    stats = attributes(said.get(_TCA_STATS2, b"")).get(_TCA_STATS_QUEUE, bytes(_QUEUE_STATS.size))
    queued = _QUEUE_STATS.unpack_from(stats)[0]
    qdisc = _decode(kind, said.get(_TCA_OPTIONS, b""))
    below = 0 if parent == ROOT else parent >> 16
    placed = Placed(handle >> 16, below, qdisc) if qdisc is not None else None
    return Found(kind, placed, queued)


def _parent(placed: Placed) -> int:
    """Each of these kinds has one class, number 1."""
    return (placed.below << 16) + 1 if placed.below else ROOT


def _encode(qdisc: Qdisc) -> bytes:
    match qdisc:
        case Tbf():
            rate = min(qdisc.rate_bytes_s, _MOST_U32)
            spec = _RATESPEC.pack(0, _ETHERNET, 0, 0, 0, rate)
            parameters = spec + bytes(_RATESPEC.size) + _TBF.pack(qdisc.limit, 0, 0)
            return (
                attribute(_TCA_TBF_PARMS, parameters)
                + attribute(_TCA_TBF_RATE64, _U64.pack(qdisc.rate_bytes_s))
                + attribute(_TCA_TBF_BURST, _U32.pack(qdisc.burst_bytes))
            )
        case Netem():
            rate = min(qdisc.rate_bytes_s, _MOST_U32)
            return (
                _NETEM.pack(0, qdisc.limit, qdisc.loss, 0, 0, 0)
                + attribute(_TCA_NETEM_LATENCY64, _S64.pack(qdisc.delay_ns))
                + attribute(_TCA_NETEM_JITTER64, _S64.pack(qdisc.jitter_ns))
                + attribute(_TCA_NETEM_RATE64, _U64.pack(qdisc.rate_bytes_s))
                + attribute(_TCA_NETEM_RATE, _NETEM_RATE.pack(rate, 0, 0, 0))
            )
        case Pfifo():
            return _U32.pack(qdisc.limit)


def _decode(kind: str, options: bytes) -> Qdisc | None:
    match kind:
        case "tbf":
            said = attributes(options)
            parameters = said[_TCA_TBF_PARMS]
            rate = _RATESPEC.unpack_from(parameters)[-1]
            limit, _, _ = _TBF.unpack_from(parameters, 2 * _RATESPEC.size)
            return Tbf(_wide(rate, said.get(_TCA_TBF_RATE64)), limit)
        case "netem":
            _, limit, loss, _, _, _ = _NETEM.unpack_from(options)
            said = attributes(options[_NETEM.size :])
            rate = _NETEM_RATE.unpack_from(said[_TCA_NETEM_RATE])[0]
            return Netem(
                delay_ns=_S64.unpack(said[_TCA_NETEM_LATENCY64])[0],
                jitter_ns=_S64.unpack(said[_TCA_NETEM_JITTER64])[0],
                loss=loss,
                rate_bytes_s=_wide(rate, said.get(_TCA_NETEM_RATE64)),
                limit=limit,
            )
        case "pfifo":
            return Pfifo(_U32.unpack_from(options)[0])
    return None


def _wide(rate: int, rate64: bytes | None) -> int:
    """The kernel tells a rate in 64 bits only where 32 are too few."""
    return int(_U64.unpack(rate64)[0]) if rate64 is not None else rate
