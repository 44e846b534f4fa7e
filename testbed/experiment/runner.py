"""Runs the trials of a design: a fresh lab each, stored whole, block by block."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from testbed.errors import CheckFailed, MissingFeature, NotBuiltYet, TestbedError, UsageError
from testbed.events import Event
from testbed.experiment import fidelity, node_signals
from testbed.experiment.collect import collect, nothing
from testbed.experiment.cpus import generator_cpu
from testbed.experiment.design import Design, Trial, block, block_id
from testbed.experiment.environment import host_kernel
from testbed.experiment.executor import Executor, Files, Finished
from testbed.experiment.interrupt import Interrupts
from testbed.experiment.module import Experiment
from testbed.experiment.node_signals import NodeSignals
from testbed.experiment.progress import Progress
from testbed.experiment.record import TrialRecord
from testbed.experiment.room import require_room
from testbed.experiment.run_directory import RunDirectory
from testbed.experiment.side_by_side import in_turn
from testbed.experiment.subjects import live_nodes
from testbed.experiment.trial_lab import Lab, TrialLab
from testbed.experiment.until import Look, Precision, first_look

MAX_ATTEMPTS = 3
"""How often a block may be run; then it stays invalid and the run goes on without it."""

_HOPELESS = (UsageError, MissingFeature, NotBuiltYet)
"""What no further trial can mend."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a run is handed: how a lab starts (topology, name), who judges a trial, what carries the labs."""

    up: Callable[[Any, str], Lab]
    judge: Callable[[TrialRecord], tuple[str, ...]]
    kernel: Mapping[str, str] = field(default_factory=host_kernel)
    generator_cpu: int | None = field(default_factory=generator_cpu)
    """Which CPU of that kernel the generators have to themselves; None: it has only one."""
    executor: Executor = in_turn
    """Runs the blocks."""
    machine: str = field(default_factory=platform.node)
    """The one that this process runs trials on; empty: others run them all."""
    machines: Callable[[], Mapping[str, Mapping[str, Any]]] | None = None
    """What the others are, by name (`environment`); None: there are none."""
    across: bool = False
    """Whether kernels may differ."""
    precision: Precision | None = None
    """What `--until` looks at; None: every block is run."""


class Runner:
    """One run. `topology` gives the topology of an arm's factors."""

    def __init__(
        self,
        experiment: Experiment,
        design: Design,
        directory: RunDirectory,
        topology: Callable[[Mapping[str, Any]], Any],
        outside: Outside,
    ) -> None:
        self._experiment = experiment
        self._design = design
        self._directory = directory
        self._topology = topology
        self._outside = outside

    def run(self, interrupts: Interrupts, say: Callable[[str], None]) -> Look | None:
        """Run every trial that is not stored yet, until all are or the goal is reached; returns the last
        look at the goal, if there is one.

        Raises KeyboardInterrupt when asked to end, OutOfTimeOrRoom when the results have no room,
        CheckFailed when a block failed `MAX_ATTEMPTS` times; what is finished is stored.
        """
        finished = self._directory.finished()
        self._drop_split(finished)
        valid = sum(row["valid"] for row in self._directory.rows())
        progress = Progress(self._experiment.name, self._design, say, valid)
        look: Look | None = None

        def wanted() -> Iterator[int]:
            for number in range(self._design.repeats):
                if look and look.reached:
                    return
                yield number

        blocks = _Blocks(self, finished, interrupts, progress)
        for number in self._outside.executor(wanted(), blocks):
            with interrupts.recognised():
                look = self._look(number, say) or look
        return look

    def _look(self, number: int, say: Callable[[str], None]) -> Look | None:
        """After a block: how well the primary metrics are known; None before the first look is due."""
        precision = self._outside.precision
        if precision is None:
            return None
        with self._directory.block(number) as folder:
            if folder is not None:
                precision.add(folder)
        look = precision.look()
        if look.blocks < first_look(self._design.profile):
            return None
        say(f"{self._experiment.name} [{look.blocks} blocks] {look.said}")
        return look

    def _drop_split(self, finished: dict[str, tuple[str, ...]]) -> None:
        """A block is run on one machine: what was begun on another than goes on is run anew."""
        for name, trials in self._directory.elsewhere(self._outside.machine).items():
            number, attempt, machine = trials
            missing = [
                trial for trial in block(self._design, number, attempt) if trial.id not in finished
            ]
            if missing:
                reason = f"{name} was begun on {machine}, and a block is run on one machine"
                self._directory.store(record := nothing(missing[0], reason))
                finished[record.trial.id] = record.invalid

    def take_in(
        self,
        trials: Mapping[str, Files],
        finished: dict[str, tuple[str, ...]],
        interrupts: Interrupts,
        progress: Progress,
    ) -> None:
        """Store trials that ran elsewhere, and tell of them."""
        require_room(self._directory.path)
        with interrupts.shielded():
            for name, files in trials.items():
                row = self._directory.take_in(name, files)
                finished[name] = tuple(row["invalid"])
                number, attempt = row["block"], row["attempt"]
                trial = next(one for one in block(self._design, number, attempt) if one.id == name)
                self._tell(trial, row["ended_ns"] - row["started_ns"], finished[name], progress)

    def run_block(
        self,
        number: int,
        finished: dict[str, tuple[str, ...]],
        interrupts: Interrupts,
        progress: Progress,
    ) -> None:
        """Run a block, anew where a trial is invalid; those that are `finished` are not repeated.

        Raises CheckFailed as `run` does.
        """
        failures = []
        for attempt in range(MAX_ATTEMPTS):
            for trial in block(self._design, number, attempt):
                if trial.id not in finished:
                    record = self._run_trial(trial, interrupts)
                    finished[trial.id] = record.invalid
                    elapsed_ns = record.ended_ns - record.started_ns
                    self._tell(trial, elapsed_ns, record.invalid, progress)
                    failures += [record.invalid[0]] if record.failed else []
                if finished[trial.id]:
                    break
            else:
                return
        if len(failures) == MAX_ATTEMPTS:
            raise CheckFailed(f"block {number} failed {MAX_ATTEMPTS} times: {failures[-1]}")

    def _tell(
        self, trial: Trial, elapsed_ns: int, invalid: tuple[str, ...], progress: Progress
    ) -> None:
        valid = sum(row["valid"] for row in self._directory.rows())
        progress.trial(trial, elapsed_ns / 1e9, invalid, valid)

    def _run_trial(self, trial: Trial, interrupts: Interrupts) -> TrialRecord:
        require_room(self._directory.path)
        with interrupts.recognised():
            record = self._conduct(trial, interrupts)
        if not record.failed:
            record = replace(record, invalid=self._outside.judge(record))
        record = replace(record, machine=self._outside.machine)
        with interrupts.shielded():
            self._directory.store(record)
        return record

    def _conduct(self, trial: Trial, interrupts: Interrupts) -> TrialRecord:
        """The trial in a lab of its own. A lab or trial that fails makes an invalid record."""
        try:
            lab = self._outside.up(self._topology(trial.factors), lab_name(trial))
            try:
                return self._measure(trial, lab)
            finally:
                with interrupts.shielded():
                    lab.down()
        except _HOPELESS:
            raise
        except TestbedError as error:
            return nothing(trial, str(error))

    def _measure(self, trial: Trial, lab: Lab) -> TrialRecord:
        view = lab.inspect()
        nodes = [node["name"] for node in live_nodes(view)] if self._experiment.keep_rules else []
        before = {node: lab.rules(node) for node in nodes}
        lab.start_recording()
        in_nodes, on_host = _node_signals(lab, view), fidelity.read()
        started_ns = lab.now_ns()
        trial_lab = TrialLab(lab, self._outside.generator_cpu)
        self._experiment.trial(trial_lab, trial.factors, trial.seed)
        loads = trial_lab.finished_loads()
        host = fidelity.between(on_host, fidelity.read())
        # A node that the trial has stopped says nothing any more.
        after = _node_signals(lab, lab.inspect())
        host |= node_signals.between(in_nodes, after)
        recording = lab.stop_recording()
        ended_ns = lab.now_ns()
        record = collect(trial, view, loads, recording, lab.events())
        return replace(
            record,
            host=host | {"control_lag_p99_ms": fidelity.control_lag_p99_ms(record.samples)},
            rules={node: (before[node], lab.rules(node)) for node in nodes if node in after},
            started_ns=started_ns,
            ended_ns=ended_ns,
            events=(
                Event(started_ns, "lab", "", "trial-start", trial.id),
                *sorted((*record.events, *trial_lab.notes), key=attrgetter("t_ns")),
                Event(ended_ns, "lab", "", "trial-end", trial.id),
            ),
        )


@dataclass(frozen=True, slots=True)
class _Blocks:
    """A run's blocks, for its executor (`executor.Blocks`)."""

    runner: Runner
    stored: dict[str, tuple[str, ...]]
    interrupts: Interrupts
    progress: Progress

    def __call__(self, number: int) -> None:
        self.runner.run_block(number, self.stored, self.interrupts, self.progress)

    def finished(self, number: int) -> Finished:
        own = {block_id(number, attempt) for attempt in range(MAX_ATTEMPTS)}
        return {
            name: invalid for name, invalid in self.stored.items() if name.rpartition("-")[0] in own
        }

    def take_in(self, trials: Mapping[str, Files]) -> None:
        self.runner.take_in(trials, self.stored, self.interrupts, self.progress)


def _node_signals(lab: Lab, view: Mapping[str, Any]) -> dict[str, NodeSignals]:
    return {
        node["name"]: node_signals.parse(lab.exec(node["name"], node_signals.COMMAND).stdout)
        for node in live_nodes(view)
    }


def lab_name(trial: Trial) -> str:
    """A name of its own for each trial's lab, also beside other runs."""
    return f"run-{os.getpid()}-{trial.id}"
