"""The edge matrix in real namespaces: every door, policy and client, against what is promised."""

from __future__ import annotations

import pytest

from testbed.claims import edge_lab
from testbed.edge.matrix import ROWS, wrong
from testbed.experiment.modes import with_mode
from testbed.experiment.trial_lab import TrialLab
from testbed.lab.client import Lab
from testbed.model.topology import Topology

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("provider", "mode"),
    [("haproxy", "iptables-legacy"), ("nftables", "nftables"), ("l2", "nftables")],
)
def test_every_row_is_as_promised(provider: str, mode: str, name: str) -> None:
    topology = with_mode(Topology.model_validate(edge_lab.topology(provider)), mode)
    here = edge_lab.setting(provider, mode)
    with Lab.up(topology, name=name, timeout_s=300, ephemeral=True) as lab:
        found = edge_lab.dialled(TrialLab(lab), here)
    troubles = {
        row.name: trouble
        for row in ROWS
        if (trouble := wrong(row, found[row.name], row.caller, here))
    }
    assert not troubles, f"{len(troubles)} wrong of {len(ROWS)}"
