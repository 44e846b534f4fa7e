"""The experiment on partitions, over real labs."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.analysis import partition
from tests.lab.conducted import conducted

pytestmark = pytest.mark.lab


def test_a_partition_under_load_names_what_each_side_loses_by_phase(tmp_path: Path) -> None:
    run = conducted("partition", tmp_path, "network=vxlan", "hold_s=1", "rate_rps=50")
    (trial,) = run.trials.to_dict("records")
    assert trial["apart_share"] == 1
    assert not any(trial[f"{phase}_ms_censored"] for phase in ("noticed", "withdrawn", "back"))
    (parted,) = partition.parted(run)
    assert tuple(parted.begins_ns) == partition.PHASES[1:]
    assert list(parted.begins_ns.values()) == sorted(parted.begins_ns.values())
    # Half of what the far side asks for goes to pods that it cannot reach, and nobody tells it.
    assert trial["lost_far_withdrawn"] > 0
    assert trial["lost_far_cut"] > 0
    counted = partition.losses(run)
    assert counted["offered"].sum() == run.samples["stream"].isin(("outage", "kept")).sum()
