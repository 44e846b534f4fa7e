"""A run of one block over real labs, whatever else the machine does meanwhile.

`testbed run` drops trials whose generator was late, or of whose connections the kernel lost some; beside other
tests both happen. What these runs find out is no figure, so that neither matters: everything else still makes a
trial invalid.
"""

from __future__ import annotations

import math
from pathlib import Path

from testbed.analysis.run import Run, load_run
from testbed.analysis.validity import COUNTERS, Limits, judged
from testbed.experiment.design import SMOKE, designed
from testbed.experiment.environment import guest_kernel, host_kernel
from testbed.experiment.module import load
from testbed.experiment.record import TrialRecord
from testbed.experiment.runner import Outside
from testbed.experiment.session import Job, execute
from testbed.experiment.setting import topologies
from testbed.lab.client import Lab
from testbed.lab.kernels import choose
from testbed.report.build import build

_LATENESS_ALLOWED = Limits(
    control_lag_p99_ms=math.inf, censored_share=1.0, steal_share=1.0, softnet_dropped=math.inf
)

_KERNEL_LOST = tuple(f"conntrack {name} rose" for name in COUNTERS)


def _judged(record: TrialRecord) -> tuple[str, ...]:
    why = judged(record, _LATENESS_ALLOWED)
    return tuple(one for one in why if not one.startswith(_KERNEL_LOST))


def conducted(
    name: str, folder: Path, *settings: str, topology: str | None = None, seed: int = 1
) -> Run:
    """The run of an experiment's first block under `--set` settings, with its report written; `topology` and
    `seed` as in `--topology` and `--seed`.
    """
    experiment = load(name)
    job = Job(experiment, designed(experiment, settings, 1, seed, SMOKE), topology)
    carrier = choose(topologies(job.experiment, job.design, job.topology))
    guest = carrier.guest
    outside = Outside(
        up=lambda topology, lab: Lab.up(topology, name=lab, ephemeral=True, carrier=carrier),
        judge=_judged,
        kernel=guest_kernel(guest.name, guest.release) if guest else host_kernel(),
        generator_cpu=None,
    )
    said: list[str] = []
    ended = execute(job, folder, outside, said.append)
    assert ended.invalid == 0, said
    page, findings = build(load_run(ended.directory), experiment)
    assert page.is_file()
    assert findings
    return load_run(ended.directory)
