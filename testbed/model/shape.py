"""What a cable does to packets, one way: they come later, fewer, slower."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from testbed.units import pretty_bps, pretty_s

LONGEST_DELAY_S = 60.0
LONGEST_JITTER_S = 2.0
"""netem draws it in 32 bits of nanoseconds, both ways of the mean."""
LEAST_RATE_BPS = 8_000.0
"""A byte a millisecond; below, a packet takes longer than anybody waits for it."""
MOST_RATE_BPS = 1e12
DEFAULT_QUEUE = 1000
"""Packets, as an interface of Linux has it (txqueuelen), and netem."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One direction of a cable. Packets keep their order, whatever the jitter.

    Raises ValueError, with what would be right, for what no cable can be.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Give or take up to this, evenly spread."""
    loss: float = 0.0
    """Share of the packets, each by chance of its own."""
    rate_bps: float | None = None
    """None: not limited."""
    queue: int | None = None
    """Packets that wait where the rate is too small for them, the others are dropped; None: 1,000."""

    def __post_init__(self) -> None:
        mistake = next(_mistakes(self), "")
        if mistake:
            raise ValueError(mistake)

    @property
    def nothing(self) -> bool:
        """Whether packets pass as if there were no shape."""
        return self == Shape()

    @property
    def needs_netem(self) -> bool:
        """Whether it takes more than a rate: few host kernels have it."""
        return bool(self.delay_s or self.jitter_s or self.loss)

    def words(self) -> str:
        """For people: `1 ms ± 200 µs, 0.1% lost, 100 Mbit/s (queue 50)`; "" where there is nothing."""
        parts = []
        if self.delay_s:
            jitter = f" ± {pretty_s(self.jitter_s)}" if self.jitter_s else ""
            parts.append(f"{pretty_s(self.delay_s)}{jitter}")
        if self.loss:
            parts.append(f"{self.loss * 100:g}% lost")
        if self.rate_bps is not None:
            queue = f" (queue {self.queue})" if self.queue is not None else ""
            parts.append(f"{pretty_bps(self.rate_bps)}{queue}")
        return ", ".join(parts)

    def to_json(self) -> dict[str, float]:
        """What differs from nothing, under the names of the fields."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }


def _mistakes(shape: Shape) -> Iterator[str]:
    if not 0 <= shape.delay_s <= LONGEST_DELAY_S:
        yield f"delay must be from 0 to {LONGEST_DELAY_S:g}s"
    if not 0 <= shape.jitter_s <= LONGEST_JITTER_S:
        yield f"jitter must be from 0 to {LONGEST_JITTER_S:g}s"
    if shape.jitter_s > shape.delay_s:
        yield "jitter is more than delay: no packet comes before it was sent"
    if not 0 <= shape.loss <= 1:
        yield "loss must be from 0% to 100%"
    if shape.rate_bps is not None and not LEAST_RATE_BPS <= shape.rate_bps <= MOST_RATE_BPS:
        yield "rate must be from 8kbit to 1tbit"
    if shape.queue is not None and shape.queue < 1:
        yield "queue must be one packet at least"
    if shape.queue is not None and shape.rate_bps is None:
        yield "queue needs a rate: without one nothing ever waits"


NOTHING = Shape()
