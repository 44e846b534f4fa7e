"""When a container that ended may start again: at once, then after 10 s, 20 s, … 300 s.

Source: pkg/kubelet/kuberuntime, doBackOff, and client-go's flowcontrol.Backoff.
"""

from __future__ import annotations

from dataclasses import dataclass

from testbed.controllers.timing import KubeletTiming


@dataclass(frozen=True, slots=True)
class Backoff:
    """`delay_s`: what the next restart waits after the exit; `restarted_s`: the last restart."""

    delay_s: float = 0.0
    restarted_s: float = 0.0

    def restart_at_s(self, finished_s: float, timing: KubeletTiming) -> float:
        """The earliest restart of a container that ended at `finished_s`."""
        return finished_s if self._expired(finished_s, timing) else finished_s + self.delay_s

    def after_restart(self, finished_s: float, now_s: float, timing: KubeletTiming) -> Backoff:
        """The back-off once a container that ended at `finished_s` has been restarted."""
        if self.delay_s == 0 or self._expired(finished_s, timing):
            return Backoff(timing.backoff_initial_s, now_s)
        return Backoff(min(2 * self.delay_s, timing.backoff_max_s), now_s)

    def _expired(self, finished_s: float, timing: KubeletTiming) -> bool:
        """Whether it ran for twice the maximum (10 minutes): then it starts afresh."""
        return finished_s - self.restarted_s > 2 * timing.backoff_max_s


NO_BACKOFF = Backoff()
