"""What the trials of a run are handed: the kernel that carries their labs, who judges them, who runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from testbed.cli.output import note
from testbed.errors import MissingFeature

if TYPE_CHECKING:
    from testbed.experiment.dask_cluster import Cluster
    from testbed.experiment.design import Design
    from testbed.experiment.module import Experiment
    from testbed.experiment.runner import Outside
    from testbed.experiment.session import Job
    from testbed.lab.kernels import Carrier
    from testbed.model.topology import Topology


def carrier_of(experiment: Experiment, built: Sequence[Topology]) -> Carrier:
    """The one kernel for all trials of a run. Raises MissingFeature."""
    from testbed.kernel.features import Feature
    from testbed.lab.kernels import choose

    known = {feature.value for feature in Feature}
    unknown = sorted(experiment.requires - known)
    if unknown:
        raise MissingFeature(
            f"{experiment.name} requires {unknown[0]}, which no host can offer",
            f"known: {', '.join(sorted(known))}",
        )
    return choose(built, note, frozenset(map(Feature, experiment.requires)))


def kernel_of(carrier: Carrier) -> dict[str, str]:
    """As run.json names it."""
    from testbed.experiment.environment import guest_kernel, host_kernel

    guest = carrier.guest
    return guest_kernel(guest.name, guest.release) if guest else host_kernel()


def outside_of(experiment: Experiment, design: Design, carrier: Carrier, *, alone: bool) -> Outside:
    """Real labs on one kernel, one after the other, and the judgement of `analysis.validity`. Labs that are not
    `alone` on their machine have no CPU to themselves.
    """
    from testbed.analysis.validity import judged, limits_of
    from testbed.experiment.cpus import generator_cpu
    from testbed.experiment.runner import Outside
    from testbed.lab.client import Lab

    limits = limits_of(experiment.timing, design.profile)
    return Outside(
        up=lambda topology, name: Lab.up(
            topology, name=name, ephemeral=True, pin=alone, carrier=carrier
        ),
        judge=lambda record: judged(record, limits),
        kernel=kernel_of(carrier),
        generator_cpu=generator_cpu() if alone and not carrier.guest else None,
    )


def outside_here(job: Job, carrier: Carrier, at_a_time: int) -> Outside:
    """That of a run on this machine."""
    from testbed.experiment.side_by_side import in_turn, side_by_side

    alone = at_a_time == 1
    outside = outside_of(job.experiment, job.design, carrier, alone=alone)
    executor = in_turn if alone else side_by_side(at_a_time)
    return _looking(job, replace(outside, executor=executor))


def outside_elsewhere(job: Job, cluster: Cluster, *, across: bool) -> tuple[Outside, int]:
    """That of a run on the workers of a cluster, and how many blocks they take at a time. Raises as
    `Roster.introduce`.
    """
    from testbed.experiment.dask_roster import Roster
    from testbed.experiment.executor_dask import on_cluster
    from testbed.experiment.machines import Terms
    from testbed.experiment.order import Work
    from testbed.experiment.setting import topologies
    from testbed.lab.kernels import Carrier

    built = topologies(job.experiment, job.design, job.topology)
    work = Work.of(job.experiment, job.design, built)
    roster = Roster(cluster, work, Terms(job.experiment.timing, across), note)
    roster.introduce()
    outside = outside_of(job.experiment, job.design, Carrier(), alone=job.experiment.timing)
    outside = replace(
        outside,
        kernel=roster.kernel,
        executor=on_cluster(cluster, roster, work, note),
        machine="",
        machines=roster.environments,
        across=across,
    )
    return _looking(job, outside), len(roster.at_work())


def _looking(job: Job, outside: Outside) -> Outside:
    """With a look at the goal of `--until`, if there is one."""
    from testbed.analysis.precision import PrimaryPrecision

    if not job.until or not job.experiment.primary:
        return outside
    return replace(outside, precision=PrimaryPrecision(job.until, job.experiment.primary))
