"""Which workers a run may use, and what it calls their machines. Pure.

A machine is one running kernel, told by its boot id: containers with host names of their own share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.errors import UsageError

_COMPARED = ("carrier", "release", "version", "machine")
"""What two kernels have in common when trials on them may be compared."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that has introduced itself: where it is reached, and what its machine is."""

    address: str
    threads: int
    boot_id: str
    environment: Mapping[str, Any]
    """As run.json has it: `host`, `kernel` (which would carry the labs), CPU, tools, …"""

    @property
    def host(self) -> str:
        return str(self.environment["host"])

    @property
    def kernel(self) -> Mapping[str, str]:
        kernel: Mapping[str, str] = self.environment["kernel"]
        return kernel


@dataclass(frozen=True, slots=True)
class Terms:
    """What a run asks of workers. `alone`: its trials measure times; `across`: kernels may differ."""

    alone: bool
    across: bool = False


def objection(new: Worker, known: Sequence[Worker], terms: Terms) -> UsageError | None:
    """Why a worker cannot work on a run beside those that do; None: it can."""
    if terms.alone and new.threads != 1:
        return UsageError(
            f"worker {new.address} on {new.host} takes {new.threads} tasks at a time, and the "
            "experiment measures times",
            "start it with --nthreads 1",
        )
    for other in known:
        if new.boot_id != other.boot_id and new.host == other.host:
            return UsageError(
                f"workers {other.address} and {new.address} are on two machines called {new.host}",
                "give each machine a name of its own: it stands in trials.csv",
            )
        if not terms.across and not same_kernel(new.kernel, other.kernel):
            return UsageError(
                f"workers {other.address} and {new.address} differ in their kernels: "
                f"{_said(other)}, {_said(new)}",
                "trials that are compared run on one kernel; --across runs them all the same",
            )
    return None


def same_kernel(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether trials on both may be compared (MEASURING.md, Blocks)."""
    return all(one.get(key) == other.get(key) for key in _COMPARED)


def _said(worker: Worker) -> str:
    kernel = worker.kernel
    return f"{worker.host} has {kernel['release']} ({kernel['carrier']}, {kernel['version']})"


def machine_of(worker: Worker, known: Sequence[Worker]) -> str:
    """What a run calls a worker's machine: the host name of the first worker on it."""
    return next((one.host for one in known if one.boot_id == worker.boot_id), worker.host)


def spare(worker: Worker, present: Sequence[Worker], terms: Terms) -> bool:
    """Whether a worker must stay idle: another one on its machine works, and trials measure times."""
    return terms.alone and any(one.boot_id == worker.boot_id for one in present)


def common_kernel(known: Sequence[Worker]) -> dict[str, str]:
    """The kernel of all workers; where they differ (`across`), each value that there is."""
    keys = dict.fromkeys(key for one in known for key in one.kernel)
    return {
        key: ", ".join(dict.fromkeys(one.kernel[key] for one in known if key in one.kernel))
        for key in keys
    }


def environments(known: Sequence[Worker]) -> dict[str, Mapping[str, Any]]:
    """What each machine is, by its name."""
    return {machine_of(one, known): one.environment for one in reversed(known)}
