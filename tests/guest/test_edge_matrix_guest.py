"""The edge matrix where the kernel has IPVS: as the proxy's mode, and as the balancer outside."""

from __future__ import annotations

import pytest

from testbed.claims import edge_lab
from testbed.edge.doors import ROWS
from testbed.edge.matrix import wrong
from testbed.experiment.modes import with_mode
from testbed.experiment.trial_lab import TrialLab
from testbed.lab.client import Lab
from testbed.model.topology import Topology
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.guest


@pytest.mark.parametrize("profile", ["documented", "kube-proxy-1.36"])
def test_every_row_is_as_promised_by_ipvs(profile: str) -> None:
    made = edge_lab.with_ingress(edge_lab.topology("ipvs", profile))
    topology = with_mode(Topology.model_validate(made | {"kernel": "uml"}), "ipvs/rr")
    here = edge_lab.setting("ipvs", "ipvs/rr", profile)
    with Lab.up(topology, name=unique_name(), timeout_s=300, ephemeral=True) as lab:
        found = edge_lab.dialled(TrialLab(lab), here)
    troubles = {
        row.name: trouble
        for row in ROWS
        if (trouble := wrong(row, found[row.name], row.caller, here))
    }
    assert not troubles, f"{len(troubles)} wrong of {len(ROWS)}"
