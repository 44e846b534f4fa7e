"""Runs in a folder of results: a new one, and one by its name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from testbed.errors import NotFound, OutOfTimeOrRoom, UsageError
from testbed.experiment.room import prove_writable, room_in


def new_run(root: Path, experiment: str, seed: int, now: datetime | None = None) -> Path:
    """Make `root/experiment/RUN`; RUN is the UTC time and the seed.

    Raises OutOfTimeOrRoom where it cannot be written.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    parent = root / experiment
    with room_in(root):
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 100):
            name = f"{stamp}-{seed}" + (f"-{number}" if number > 1 else "")
            try:
                (parent / name).mkdir()
            except FileExistsError:
                continue
            prove_writable(parent / name)
            return parent / name
    raise OutOfTimeOrRoom(f"{parent} already has 99 runs of this second")


def find_run(root: Path, run: str, experiment: str = "") -> Path:
    """The directory of a run given as a path or as RUN. Raises NotFound or UsageError."""
    if (Path(run) / "run.json").is_file():
        return Path(run)
    found = sorted(path.parent for path in root.glob(f"{experiment or '*'}/{run}/run.json"))
    if not found:
        raise NotFound(f"no run {run} in {root}", "name it as results/EXPERIMENT/RUN")
    if len(found) > 1:
        raise UsageError(f"{run} is the name of {len(found)} runs", f"write {found[0]}")
    return found[0]
