"""The topology that a trial runs in: found, read, adapted, and checked before the first lab."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import NotFound, UsageError
from testbed.experiment.design import Design, arms
from testbed.experiment.module import Experiment, Factors
from testbed.model import shipped
from testbed.model.loader import load
from testbed.model.topology import Topology


def find_topology(text: str, experiment: Experiment) -> Path:
    """A topology's file, by path or by name.

    Looked up here, beside the experiment, in ./topologies, then among those of the package. Raises
    NotFound.
    """
    for folder in (Path(), experiment.path.parent, Path("topologies"), shipped.folder()):
        for path in (folder / text, folder / f"{text}.yaml"):
            if path.is_file():
                return path
    raise NotFound(f"no topology {text}", shipped.hint(text))


def topology_of(experiment: Experiment, factors: Factors, override: str | None = None) -> Topology:
    """The topology of a trial with these factors; `override` replaces the experiment's own file.

    Raises NotFound, TopologyError, or UsageError where the experiment takes no other topology.
    """
    if callable(experiment.topology):
        if override:
            raise UsageError(
                f"{experiment.name} makes its topology from its factors", "leave --topology out"
            )
        made = experiment.topology(factors)
        topology = made if isinstance(made, Topology) else _load(str(made), experiment)
    else:
        topology = _load(override or experiment.topology, experiment)
    return experiment.arrange(topology, factors) if experiment.arrange else topology


def _load(text: str, experiment: Experiment) -> Topology:
    return load(find_topology(text, experiment))


def topologies(experiment: Experiment, design: Design, override: str | None) -> list[Topology]:
    """The topology of every arm. Raises as `topology_of`."""
    return [topology_of(experiment, factors, override) for factors in arms(design)]
