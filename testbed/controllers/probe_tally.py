"""Counting a probe's outcomes against its thresholds, and when it is due again."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.model.containers import Probe


@dataclass(frozen=True, slots=True)
class ProbeTally:
    """`verdict` is what the kubelet believes; `run` how often in a row the last outcome came.

    Before the first probe readiness is believed failed, liveness succeeded, and nothing (None) of startup.
    """

    verdict: bool | None
    last: bool | None = None
    run: int = 0

    def after(self, ok: bool, probe: Probe) -> ProbeTally:
        """The tally with one more outcome. Source: pkg/kubelet/prober/worker.go, doProbe."""
        run = self.run + 1 if ok == self.last else 1
        threshold = probe.success_threshold if ok else probe.failure_threshold
        return ProbeTally(ok if run >= threshold else self.verdict, ok, run)


def next_due_s(due_s: float, period_s: float, now_s: float) -> float:
    """When to probe next, after the probe that was due at `due_s` has ended at `now_s`.

    A ticker with room for one tick, as Go's: a probe that outlasts its period is followed at once
    by the next, and the phase of the ticks never moves.
    """
    return due_s + period_s * max(1, int((now_s - due_s) / period_s))
