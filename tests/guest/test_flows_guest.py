"""Each row of the flow table in the packaged guest kernel, which has IPVS and SCTP wherever the tests run.

A boot for each setting. Every state is dialled in IPVS; IPv6 in those where IPVS has rows of its own (all
else of IPv6 is dialled on the host, tests/lab). `-s` shows the count of wrong rows.
"""

from __future__ import annotations

import os
import uuid

import pytest

from tests.flow_lab import DIALLED_STATES, Setting, deviating_states, differing_states, flow_lab
from tests.flows import PROFILES

pytestmark = pytest.mark.guest

IPVS = {"mode": "ipvs", "ipvs": {"scheduler": "rr"}}
LEGACY = {"mode": "iptables", "iptables": {"variant": "legacy"}}
KUBE_PROXY = Setting("ipvs/rr", IPVS, PROFILES[0], "uml", sctp=True)
DOCUMENTED = Setting("ipvs/rr", IPVS, PROFILES[1], "uml", sctp=True, families=(4,))
SETTINGS = [
    (KUBE_PROXY, deviating_states(KUBE_PROXY)),
    (
        DOCUMENTED,
        tuple(
            state
            for state in DIALLED_STATES
            if state in differing_states(DOCUMENTED) or state not in deviating_states(KUBE_PROXY)
        ),
    ),
    (
        Setting("iptables-legacy", LEGACY, PROFILES[0], "uml", sctp=True, families=(4,)),
        ("base",),
    ),
    *(
        (Setting("ipvs/rr", IPVS, PROFILES[0], "uml", cni=cni, families=(4,)), ("base",))
        for cni in ("vxlan", "weave", "bgp")
    ),
]


@pytest.mark.parametrize(
    ("setting", "states"),
    SETTINGS,
    ids=[f"{one.label}/{one.profile}/{one.cni}" for one, _ in SETTINGS],
)
def test_every_row(setting: Setting, states: tuple[str, ...]) -> None:
    with flow_lab(f"flows-{os.getpid()}-{uuid.uuid4().hex[:6]}", setting) as bench:
        for verdict in bench.verdicts(states):
            print(verdict)
            assert verdict.wrong == {}, verdict.details()
            assert verdict.rows >= 150
