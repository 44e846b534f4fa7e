"""The edge matrix in real namespaces: every door, policy and client, against what is promised."""

from __future__ import annotations

import pytest

from testbed.claims import edge_lab
from testbed.edge.doors import ROWS
from testbed.edge.matrix import wrong
from testbed.experiment.modes import with_mode
from testbed.experiment.trial_lab import TrialLab
from testbed.lab.client import Lab
from testbed.model.topology import Topology

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("provider", "mode", "profile"),
    [
        ("haproxy", "iptables-legacy", "documented"),
        ("nftables", "userspace", "kube-proxy-1.36"),
        ("l2", "nftables", "documented"),
    ],
)
def test_every_row_is_as_promised(provider: str, mode: str, profile: str, name: str) -> None:
    made = edge_lab.with_ingress(edge_lab.topology(provider, profile))
    topology = with_mode(Topology.model_validate(made), mode)
    here = edge_lab.setting(provider, mode, profile)
    with Lab.up(topology, name=name, timeout_s=300, ephemeral=True) as lab:
        found = edge_lab.dialled(TrialLab(lab), here)
    troubles = {
        row.name: trouble
        for row in ROWS
        if (trouble := wrong(row, found[row.name], row.caller, here))
    }
    assert not troubles, f"{len(troubles)} wrong of {len(ROWS)}"
