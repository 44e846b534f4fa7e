"""One run from its first file to its last: recorded, interrupted, resumed, merged."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError, UsageError
from testbed.experiment import module
from testbed.experiment.columns import FORMAT_VERSION
from testbed.experiment.design import Design, arms
from testbed.experiment.environment import environment
from testbed.experiment.interrupt import Interrupts
from testbed.experiment.machines import same_kernel
from testbed.experiment.module import Experiment
from testbed.experiment.run_directory import RunDirectory
from testbed.experiment.runner import Outside, Runner
from testbed.experiment.runs import find_run, new_run
from testbed.experiment.setting import topologies, topology_of
from testbed.experiment.until import Goal, Look, goal_of
from testbed.model.timing import Timing
from testbed.model.topology import Topology

RUNNING, COMPLETE, INCOMPLETE = "running", "complete", "incomplete"
INTERRUPTED, STOPPED = "interrupted", "stopped"


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be made, or (`resumed`) to be finished."""

    experiment: Experiment
    design: Design
    topology: str | None = None
    """What `--topology` said."""
    resumed: Path | None = None
    until: Goal | None = None
    """What `--until` said; the design's repeats are then the most there may be."""

    @property
    def planned(self) -> int:
        """How many valid trials a run has at most: a complete one without `--until` has as many."""
        return self.design.repeats * len(arms(self.design))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run went: `valid` and `invalid` count trials."""

    directory: Path
    valid: int
    invalid: int
    status: str
    stopped: str = ""
    """Why a run with `--until` has no more trials."""


def resumed_job(root: Path, run: str, names: Sequence[str]) -> Job:
    """The job that goes on with a stored run: its design is what it was.

    Raises NotFound; UsageError where it is another experiment's, or has all its trials and its report.
    """
    path = find_run(root, run)
    meta = RunDirectory(path).meta()
    try:
        name, file = meta["experiment"], meta["module"]
        design, topology = Design.from_json(meta), meta["arguments"]["topology"]
        until = goal_of(meta["until"]) if meta.get("until") else None
    except KeyError as error:
        raise UsageError(f"{path / 'run.json'} lacks {error}: it cannot be resumed") from error
    if names and list(names) != [name] and list(names) != [file]:
        raise UsageError(f"{path} is a run of {name}, not of {' '.join(names)}")
    if meta.get("status") == COMPLETE and (path / "report.html").is_file():
        raise UsageError(f"{path} is complete", "there is nothing to resume")
    return Job(module.load(file), design, topology, path, until)


def execute(job: Job, root: Path, outside: Outside, say: Callable[[str], None]) -> Ended:
    """Run a job's trials; returns how it went, and KeyboardInterrupt too leaves a readable run.

    Raises OutOfTimeOrRoom and CheckFailed as `Runner.run` does, after merging what is finished; UsageError
    where a resumed run was begun on another kernel.
    """
    path = job.resumed or new_run(root, job.experiment.name, job.design.seed)
    directory = RunDirectory(path)
    interrupts = Interrupts()
    if job.resumed and directory.meta().get("status") == COMPLETE:
        return _complete(directory)
    meta = directory.meta() if job.resumed else _meta(job, path, outside)
    if not outside.across:
        _require_kernel(path, meta, outside.kernel)
    directory.write_meta({**meta, "status": RUNNING})
    runner = Runner(
        job.experiment,
        job.design,
        directory,
        lambda factors: topology_of(job.experiment, factors, job.topology),
        outside,
    )
    progress = _Progress(job, directory)
    try:
        with interrupts.handled(), _concluded(progress, meta, outside, interrupts):
            progress.look = runner.run(interrupts, say)
    except (KeyboardInterrupt, TestbedError):
        kept = progress.ended().valid
        say(f"{kept} of {job.planned} trials are kept; to go on: testbed run --resume {path}")
        raise
    ended = progress.ended()
    if ended.status == COMPLETE:
        directory.remove_parts()
    return ended


def _complete(directory: RunDirectory) -> Ended:
    """A run that was ended after its last trial: it lacks no more than its report."""
    valid = [row["valid"] == "True" for row in directory.merged_rows()]
    directory.remove_parts()
    stopped = str(directory.meta().get("stopped", ""))
    return Ended(directory.path, sum(valid), len(valid) - sum(valid), COMPLETE, stopped)


@dataclass(slots=True)
class _Progress:
    """How far a run is; `look` is the last one at the goal of `--until`."""

    job: Job
    directory: RunDirectory
    look: Look | None = None

    def ended(self) -> Ended:
        """How it went, if it ends here."""
        rows = self.directory.rows()
        valid = sum(row["valid"] for row in rows)
        reached = self.look is not None and self.look.reached
        status = COMPLETE if reached or valid == self.job.planned else INCOMPLETE
        stopped = ""
        if self.job.until is not None and self.look is not None:
            why = "reached" if reached else f"not reached in {self.job.design.repeats} blocks"
            stopped = (
                f"{self.job.until.text} {why}: {self.look.said} after {self.look.blocks} blocks"
            )
        return Ended(self.directory.path, valid, len(rows) - valid, status, stopped)


def _require_kernel(path: Path, meta: Mapping[str, Any], kernel: Mapping[str, str]) -> None:
    began = meta["environment"]["kernel"]
    if not same_kernel(began, kernel):
        raise UsageError(
            f"{path} was begun on kernel {began['release']}, and this is {kernel['release']}",
            "trials that are compared run on one kernel: start a new run",
        )


@contextmanager
def _concluded(
    progress: _Progress, meta: Mapping[str, Any], outside: Outside, interrupts: Interrupts
) -> Iterator[None]:
    """However the trials end, what is stored becomes a run that can be read and resumed."""
    status, error, directory = STOPPED, "", progress.directory
    try:
        yield
        status = progress.ended().status
    except KeyboardInterrupt:
        status = INTERRUPTED
        raise
    except TestbedError as problem:
        error = str(problem)
        raise
    finally:
        with interrupts.shielded():
            directory.merge()
            directory.write_meta(
                {
                    **meta,
                    "status": status,
                    "error": error,
                    "mode": directory.mode(),
                    "stopped": progress.ended().stopped,
                    "machines": _machines(meta, outside),
                }
            )


def _machines(meta: Mapping[str, Any], outside: Outside) -> dict[str, Any]:
    """What each machine of a run is that had several, by its name: those so far and those of now."""
    before = dict(meta.get("machines", {}))
    if outside.machines:
        return before | dict(outside.machines())
    if before:
        before[outside.machine] = environment(outside.kernel)
    return before


def _meta(job: Job, path: Path, outside: Outside) -> dict[str, Any]:
    """`run.json` as it is before the first trial."""
    machines = _machines({}, outside)
    own = next(iter(machines.values())) if machines else environment(outside.kernel)
    built = topologies(job.experiment, job.design, job.topology)
    return {
        "format": FORMAT_VERSION,
        "experiment": job.experiment.name,
        "module": module.spelt(job.experiment.path),
        "run": path.name,
        "question": job.experiment.question,
        "hypothesis": job.experiment.hypothesis,
        "refuted_if": job.experiment.refuted_if,
        **job.design.to_json(),
        "command": command_line(job),
        "measures_times": job.experiment.timing,
        "arguments": {"topology": job.topology},
        "until": job.until.text if job.until else "",
        "timing": unusual_timing(built),
        "topology": built[0].model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "arms": [
            {
                "factors": dict(factors),
                "topology": topology.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            }
            for factors, topology in zip(arms(job.design), built, strict=True)
        ],
        "environment": {**own, "kernel": dict(outside.kernel)},
        "findings": [],
    }


def unusual_timing(built: Sequence[Topology]) -> dict[str, Any]:
    """Every one of Kubernetes' own delays that is not at its default in all arms."""
    found: dict[str, Any] = {}
    for topology in built:
        for name, value in topology.timing.model_dump(mode="json", by_alias=True).items():
            if value != Timing().model_dump(mode="json", by_alias=True)[name]:
                found[name] = value
    return found


def command_line(job: Job) -> str:
    """The shell line that repeats the run: what differs from the experiment's own is spelt out."""
    named = module.spelt(job.experiment.path)
    words = ["testbed", "run", named, "--profile", job.design.profile]
    if job.topology:
        words += ["--topology", job.topology]
    for name, values in job.design.factors.items():
        words += ["--set", f"{name}={','.join(map(str, values))}"]
    if job.until:
        words += ["--until", job.until.text]
    words += ["--repeat", str(job.design.repeats), "--seed", str(job.design.seed)]
    return shlex.join(words)
