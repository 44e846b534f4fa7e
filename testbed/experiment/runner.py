"""Runs the trials of a design: a fresh lab each, stored whole, block by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from testbed.errors import CheckFailed, MissingFeature, NotBuiltYet, TestbedError, UsageError
from testbed.events import Event
from testbed.experiment import fidelity, node_signals
from testbed.experiment.collect import collect, nothing
from testbed.experiment.cpus import generator_cpu
from testbed.experiment.design import Design, Trial, block
from testbed.experiment.environment import host_kernel
from testbed.experiment.interrupt import Interrupts
from testbed.experiment.module import Experiment
from testbed.experiment.node_signals import NodeSignals
from testbed.experiment.progress import Progress
from testbed.experiment.record import RunDirectory, TrialRecord
from testbed.experiment.side_by_side import Executor, in_turn
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
        valid = sum(row["valid"] for row in self._directory.rows())
        progress = Progress(self._experiment.name, self._design, say, valid)
        look: Look | None = None

        def wanted() -> Iterator[int]:
            for number in range(self._design.repeats):
                if look and look.reached:
                    return
                yield number

        def run_block(number: int) -> None:
            self._run_block(number, finished, interrupts, progress)

        for number in self._outside.executor(wanted(), run_block):
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

    def _run_block(
        self,
        number: int,
        finished: dict[str, tuple[str, ...]],
        interrupts: Interrupts,
        progress: Progress,
    ) -> None:
        """Run a block, anew where a trial is invalid. Raises CheckFailed as `run` does."""
        failures = []
        for attempt in range(MAX_ATTEMPTS):
            for trial in block(self._design, number, attempt):
                if trial.id not in finished:
                    record = self._run_trial(trial, interrupts)
                    finished[trial.id] = record.invalid
                    self._tell(record, progress)
                    failures += [record.invalid[0]] if record.failed else []
                if finished[trial.id]:
                    break
            else:
                return
        if len(failures) == MAX_ATTEMPTS:
            raise CheckFailed(f"block {number} failed {MAX_ATTEMPTS} times: {failures[-1]}")

    def _tell(self, record: TrialRecord, progress: Progress) -> None:
        seconds = (record.ended_ns - record.started_ns) / 1e9
        valid = sum(row["valid"] for row in self._directory.rows())
        progress.trial(record.trial, seconds, record.invalid, valid)

    def _run_trial(self, trial: Trial, interrupts: Interrupts) -> TrialRecord:
        self._directory.require_room()
        with interrupts.recognised():
            record = self._conduct(trial, interrupts)
        if not record.failed:
            record = replace(record, invalid=self._outside.judge(record))
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
        nodes = [node["name"] for node in view["nodes"]] if self._experiment.keep_rules else []
        before = {node: lab.rules(node) for node in nodes}
        lab.start_recording()
        in_nodes, on_host = _node_signals(lab, view), fidelity.read()
        started_ns = lab.now_ns()
        trial_lab = TrialLab(lab, self._outside.generator_cpu)
        self._experiment.trial(trial_lab, trial.factors, trial.seed)
        loads = trial_lab.finished_loads()
        host = fidelity.between(on_host, fidelity.read())
        host |= node_signals.between(in_nodes, _node_signals(lab, view))
        recording = lab.stop_recording()
        ended_ns = lab.now_ns()
        record = collect(trial, view, loads, recording, lab.events())
        return replace(
            record,
            host=host | {"control_lag_p99_ms": fidelity.control_lag_p99_ms(record.samples)},
            rules={node: (before[node], lab.rules(node)) for node in nodes},
            started_ns=started_ns,
            ended_ns=ended_ns,
            events=(
                Event(started_ns, "lab", "", "trial-start", trial.id),
                *sorted((*record.events, *trial_lab.notes), key=attrgetter("t_ns")),
                Event(ended_ns, "lab", "", "trial-end", trial.id),
            ),
        )


def _node_signals(lab: Lab, view: Mapping[str, Any]) -> dict[str, NodeSignals]:
    return {
        node["name"]: node_signals.parse(lab.exec(node["name"], node_signals.COMMAND).stdout)
        for node in view["nodes"]
    }


def lab_name(trial: Trial) -> str:
    """A name of its own for each trial's lab, also beside other runs."""
    return f"run-{os.getpid()}-{trial.id}"
