"""The fidelity meter: what the host took from a trial, read before and after it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from glob import iglob
from pathlib import Path
from types import MappingProxyType

import pandas as pd


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
    """Time that runnable tasks waited for a CPU, summed over tasks (/proc/schedstat)."""
    task_waits_ns: Mapping[str, int] = field(default_factory=dict)
    """The same of each task that lives now, where the kernel keeps no sum but /proc/PID/task/TID/schedstat."""


def read() -> HostSignals:
    """The counters now."""
    return parse(
        time.monotonic_ns(),
        Path("/proc/stat").read_text(),
        _text("/proc/pressure/cpu"),
        schedstat := _text("/proc/schedstat"),
        {} if schedstat else dict(_task_waits_ns()),
    )


def _task_waits_ns() -> Iterator[tuple[str, int]]:
    for name in iglob("/proc/[0-9]*/task/[0-9]*/schedstat"):  # pathlib's raises where one ends
        path = Path(name)
        try:  # "time on a CPU, time waiting for one, time slices", proc_pid_schedstat(5)
            yield path.parent.name, int(path.read_text().split()[1])
        except OSError:  # it has just ended
            continue


def _text(path: str) -> str:
    # Both files need a kernel option that many kernels lack (CONFIG_PSI, CONFIG_SCHEDSTATS).
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def parse(
    elapsed_ns: int,
    stat: str,
    pressure: str,
    schedstat: str,
    task_waits_ns: Mapping[str, int] = MappingProxyType({}),
) -> HostSignals:
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
        task_waits_ns=task_waits_ns,
    )


def between(before: HostSignals, after: HostSignals) -> dict[str, float | None]:
    """What a trial lost, as shares: steal of all CPU time, the rest of the time gone by."""
    elapsed_ns = after.elapsed_ns - before.elapsed_ns
    waited_us = _difference(before.pressure_us, after.pressure_us)
    delay_ns = _difference(before.run_delay_ns, after.run_delay_ns)
    if delay_ns is None and after.task_waits_ns:
        # Of a task that ended in between nothing is known; one that is new began at 0.
        held = before.task_waits_ns
        rises = (waited - held.get(task, 0) for task, waited in after.task_waits_ns.items())
        delay_ns = sum(rise for rise in rises if rise > 0)
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


def control_lag_p99_ms(samples: pd.DataFrame) -> float | None:
    """How late the generators were: 99th percentile of start after schedule on the control stream, which
    dials a pod itself; None where there is none.
    """
    if "stream" not in samples.columns:
        return None
    control = samples[(samples["stream"] == "control") & samples["scheduled_ns"].notna()]
    if control.empty:
        return None
    lag = control["start_ns"].astype(float) - control["scheduled_ns"].astype(float)
    return float(lag.quantile(0.99)) / 1e6
