"""The fidelity meter: what the host took from a trial, read before and after it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostSignals:
    """Counters of the machine since boot, over all CPUs; None: this kernel keeps no such one."""

    elapsed_ns: int
    total_ticks: int
    steal_ticks: int
    """Time the hypervisor gave to others (proc(5), /proc/stat)."""
    pressure_us: int | None
    """Time in which a runnable task waited for a CPU (/proc/pressure/cpu, `some`)."""
    run_delay_ns: int | None
    """Time that runnable tasks waited, summed over tasks (/proc/schedstat)."""


def read() -> HostSignals:
    """The counters now."""
    return parse(
        time.monotonic_ns(),
        Path("/proc/stat").read_text(),
        _text("/proc/pressure/cpu"),
        _text("/proc/schedstat"),
    )


def _text(path: str) -> str:
    # Both files need a kernel option that many kernels lack (CONFIG_PSI, CONFIG_SCHEDSTATS).
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def parse(elapsed_ns: int, stat: str, pressure: str, schedstat: str) -> HostSignals:
    """The texts of `/proc/stat`, `/proc/pressure/cpu` and `/proc/schedstat` as counters."""
    # user nice system idle iowait irq softirq steal; guest time is part of user.
    ticks = [int(field) for field in stat.splitlines()[0].split()[1:9]]
    some = [line for line in pressure.splitlines() if line.startswith("some ")]
    cpus = [line.split() for line in schedstat.splitlines() if line.startswith("cpu")]
    return HostSignals(
        elapsed_ns=elapsed_ns,
        total_ticks=sum(ticks),
        steal_ticks=ticks[7] if len(ticks) > 7 else 0,
        pressure_us=int(some[0].rpartition("total=")[2]) if some else None,
        run_delay_ns=sum(int(fields[8]) for fields in cpus) if cpus else None,
    )


def between(before: HostSignals, after: HostSignals) -> dict[str, float | None]:
    """What a trial lost, as shares: steal of all CPU time, the rest of the time gone by."""
    elapsed_ns = after.elapsed_ns - before.elapsed_ns
    waited_us = _difference(before.pressure_us, after.pressure_us)
    delay_ns = _difference(before.run_delay_ns, after.run_delay_ns)
    return {
        "steal_share": _share(
            after.steal_ticks - before.steal_ticks, after.total_ticks - before.total_ticks
        ),
        "cpu_pressure_share": None if waited_us is None else _share(waited_us * 1e3, elapsed_ns),
        "run_delay_share": None if delay_ns is None else _share(delay_ns, elapsed_ns),
    }


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _share(part: float, whole: float) -> float:
    return round(part / whole, 5) if whole > 0 else 0.0
