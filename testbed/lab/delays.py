"""What a lab's way to its API server adds to watches and writes, drawn from what the topology says."""

from __future__ import annotations

import random
from functools import partial

from testbed.controllers.timing import Delays
from testbed.model.timing import Timing


def drawn(timing: Timing, lab: str) -> Delays:
    """The lab's delays; labs of one name draw the same ones."""
    chance = random.Random(f"delays of {lab}")
    return Delays(
        watch_s=None if timing.watch_delay.none else partial(timing.watch_delay.draw, chance),
        api_s=None if timing.api_delay.none else partial(timing.api_delay.draw, chance),
    )
