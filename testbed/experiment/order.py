"""What another machine is asked to do for a run: everything that it needs travels with the order."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import testbed
from testbed.experiment import module
from testbed.experiment.design import Design, arms
from testbed.experiment.executor import Finished
from testbed.experiment.module import Experiment, Factors
from testbed.model.topology import Topology


@dataclass(frozen=True, slots=True)
class Work:
    """A run as any machine can carry a part of it: the experiment's file, the design, a topology per arm."""

    file: str
    source: str
    design: Design
    topologies: tuple[Topology, ...]

    @staticmethod
    def of(experiment: Experiment, design: Design, topologies: Sequence[Topology]) -> Work:
        """That of a run; the experiment is sent as its file is now."""
        source = experiment.path.read_text(encoding="utf-8")
        return Work(experiment.path.name, source, design, tuple(topologies))

    def topology(self, factors: Factors) -> Topology:
        """That of an arm."""
        return self.topologies[arms(self.design).index(dict(factors))]

    def experiment(self, folder: Path) -> Experiment:
        """The experiment, from a file that is written to `folder`. Raises as `module.load` does."""
        path = folder / self.file
        path.write_text(self.source, encoding="utf-8")
        return module.load(str(path))


@dataclass(frozen=True, slots=True)
class Order:
    """A block to be run, or (`block` None) who and what the machine is."""

    work: Work
    block: int | None = None
    finished: Finished = field(default_factory=dict)
    machine: str = ""
    """What this run calls the machine."""

    def to_json(self) -> dict[str, Any]:
        """As it travels; `testbed` is the program that it was written by."""
        work = self.work
        return {
            "testbed": program(),
            "file": work.file,
            "source": work.source,
            "design": work.design.to_json(),
            "topologies": [
                one.model_dump(mode="json", by_alias=True, exclude_none=True)
                for one in work.topologies
            ],
            "block": self.block,
            "finished": {trial: list(reasons) for trial, reasons in self.finished.items()},
            "machine": self.machine,
        }

    @staticmethod
    def from_json(sent: Mapping[str, Any]) -> Order:
        """The order that arrived."""
        work = Work(
            sent["file"],
            sent["source"],
            Design.from_json(sent["design"]),
            tuple(map(Topology.model_validate, sent["topologies"])),
        )
        finished = {trial: tuple(reasons) for trial, reasons in sent["finished"].items()}
        return Order(work, sent["block"], finished, sent["machine"])


@cache
def program() -> dict[str, str]:
    """This testbed: its version, and a digest of its source, which tells checkouts of one version apart."""
    package = Path(testbed.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0][0] != "_" or len(name.parts) == 1:  # _experiments: a wheel's alone
            digest.update(f"{name}\0".encode() + path.read_bytes())
    return {"version": testbed.__version__, "source": digest.hexdigest()[:16]}
