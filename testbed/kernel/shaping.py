"""What a cable does to packets, set at one end of it, and read back from the kernel.

At the sending interface hang, one below the other:

- frames: a token bucket that never waits. Offloads hand it up to 64 KB at once; it cuts them into frames, so
  that loss, queue and rate mean what a cable carries.
- line (where the kernel has netem): delay, jitter, loss.
- port: a token bucket of the rate; with it the queue, so many packets, before which the last come is dropped.

A cable has first the queue and then the delay. As a line in front of the queue only shifts time, and holds
whatever comes, packets leave at the same instants this way round, and the queue is the rate's alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from testbed.errors import MissingFeature, TestbedError
from testbed.kernel import netns, qdiscs
from testbed.kernel.netlink import Netlink, NetlinkError
from testbed.kernel.qdiscs import Found, Netem, Pfifo, Placed, Tbf
from testbed.model.shape import DEFAULT_QUEUE, MOST_RATE_BPS, NOTHING, Shape

_FRAMES, _LINE, _PORT, _QUEUE = 1, 2, 3, 4
_UNLIMITED_BYTES_S = round(MOST_RATE_BPS / 8)
"""A frame takes 12 ns at this rate: the bucket has filled again before the next one is asked for."""
_LINE_PACKETS = 100_000
"""150 MB of full frames. A line that is full drops, whatever the queue: 1 s of delay at 1 Gbit/s still fits."""
_FRAME_OVERHEAD = 18
"""Bytes of an Ethernet header with a VLAN tag."""
_WHOLE_BYTES = 1 << 20
"""More than any offload hands over at once."""
_LOOPBACK = 1
_BURST_S = 0.001
"""How much a port lets go at once: at 1 Gbit/s 125 KB. It takes that a busy machine's timers are late: with
half of it 30 % of the rate went unused, with twice as much nothing was gained."""


@dataclass(frozen=True, slots=True)
class End:
    """An end of a cable: the interface through which packets enter it."""

    namespace: int
    index: int
    mtu: int


def set_shape(end: End, shape: Shape) -> bool:
    """Shape what enters the cable here; returns once the kernel has been read back and says the same.

    Packets under way stay under way, with the delay that they began with. False: an unshaped end still has
    its (idle) qdiscs, as packets are in them; call again later.
    Raises MissingFeature where the kernel cannot, TestbedError where it has not done what was asked.
    """
    if shape.needs_netem and not has_netem():
        raise MissingFeature(
            f"this kernel has no netem: it cannot do {shape.words()}",
            "kernel: uml in the topology takes the lab to a guest kernel that has it; a rate alone needs none",
        )
    with netns.entered(end.namespace), Netlink() as link:
        have = _found(link, end.index)
        if shape.nothing and not _ours(have):
            return True
        want = stack(shape, end.mtu, netem=has_netem())
        change = _places(have) == tuple(one.same_place for one in want)
        try:
            link.send([qdiscs.set_qdisc(end.index, one, change=change) for one in want])
        except NetlinkError as error:
            raise TestbedError(f"the kernel refused to shape a link: {error}") from error
        now = _found(link, end.index)
        if tuple(one.placed for one in now) != want:
            raise TestbedError(
                f"the kernel did not shape a link as asked ({shape.words() or 'nothing'}): it has {now}"
            )
        if not shape.nothing:
            return True
        if any(one.queued for one in now):
            return False
        link.send([qdiscs.delete_root(end.index)], missing_ok=True)
        return True


def stack(shape: Shape, mtu: int, *, netem: bool) -> tuple[Placed, ...]:
    """The qdiscs of a shape, the root first. Pure. The same places for every shape, so that one is changed
    into another in place.
    """
    frame_bytes = mtu + _FRAME_OVERHEAD
    queue = shape.queue or DEFAULT_QUEUE
    rate_bytes_s = _UNLIMITED_BYTES_S if shape.rate_bps is None else round(shape.rate_bps / 8)
    port_burst = max(2 * frame_bytes, round(rate_bytes_s * _BURST_S))
    # A burst of all that may come leaves as it is what no rate, loss or jitter asks to cut.
    cut = shape.rate_bps is not None or shape.loss or shape.jitter_s
    frames = Tbf(_UNLIMITED_BYTES_S, 2 * frame_bytes, frame_bytes if cut else _WHOLE_BYTES)
    line = Netem(
        delay_ns=round(shape.delay_s * 1e9),
        jitter_ns=round(shape.jitter_s * 1e9),
        loss=round(shape.loss * (2**32 - 1)),
        rate_bytes_s=_UNLIMITED_BYTES_S,
        limit=_LINE_PACKETS,
    )
    return (
        Placed(_FRAMES, 0, frames),
        *([Placed(_LINE, _FRAMES, line)] if netem else []),
        Placed(_PORT, _LINE if netem else _FRAMES, Tbf(rate_bytes_s, queue, port_burst)),
        Placed(_QUEUE, _PORT, Pfifo(queue)),
    )


@cache
def has_netem() -> bool:
    """Whether this kernel has it: tried once, in a namespace of its own."""
    namespace = netns.create()
    try:
        with netns.entered(namespace), Netlink() as link:
            link.send([qdiscs.set_qdisc(_LOOPBACK, Placed(1, 0, Netem(0, 0, 0, 0, 1)))])
    except NetlinkError:
        return False
    finally:
        os.close(namespace)
    return True


def _found(link: Netlink, index: int) -> tuple[Found, ...]:
    """All of an interface, the root first."""
    rows = (qdiscs.found_on(index, payload) for _, payload in link.dump(qdiscs.listing()))
    found = [row for row in rows if row is not None]
    return tuple(sorted(found, key=lambda one: one.placed.major if one.placed else 0))


def _places(have: tuple[Found, ...]) -> tuple[tuple[int, int, type] | None, ...]:
    return tuple(one.placed.same_place if one.placed is not None else None for one in have)


def _ours(have: tuple[Found, ...]) -> bool:
    """Whether the qdiscs are a stack of this file."""
    return any(
        _places(have) == tuple(one.same_place for one in stack(NOTHING, 1500, netem=netem))
        for netem in (False, True)
    )
