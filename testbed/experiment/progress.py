"""A line per trial, with the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable

from testbed.experiment.design import Design, Trial, arms


def clock_text(seconds: float) -> str:
    """`0:42`, `12:05` or `3:07:00`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def varied_text(design: Design, trial: Trial) -> str:
    """The factors that tell the arms apart: `fault=crash replicas=3`."""
    return " ".join(
        f"{name}={trial.factors[name]}"
        for name, values in design.factors.items()
        if len(values) > 1
    )


class Progress:
    """Tells how far a run is, through `say`; `valid` trials are stored when it begins."""

    def __init__(
        self, name: str, design: Design, say: Callable[[str], None], valid: int = 0
    ) -> None:
        self._name = name
        self._design = design
        self._total = design.repeats * len(arms(design))
        self._say = say
        self._valid = valid
        self._began = time.monotonic()

    def trial(self, trial: Trial, seconds: float, invalid: tuple[str, ...], valid: int) -> None:
        """One more trial is stored; `valid` are, without those of dropped blocks, of all processes that work
        on the run.
        """
        pace = (time.monotonic() - self._began) / max(1, valid - self._valid)
        left = clock_text(pace * max(0, self._total - valid))
        verdict = f"INVALID: {'; '.join(invalid)}" if invalid else "ok"
        arm = f"{trial.id} {varied_text(self._design, trial)}".rstrip()
        width = len(str(self._total))
        self._say(
            f"{self._name} [{valid:>{width}}/{self._total}] {arm}: {seconds:.1f} s, {verdict}, "
            f"{left} left"
        )
