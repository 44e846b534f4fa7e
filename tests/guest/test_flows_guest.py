"""Each row of the flow table in the packaged guest kernel, which has IPVS and SCTP wherever the tests run.

A boot for each setting, and IPv6 where it can differ; all else of IPv6 is dialled on the host (tests/lab).
`-s` shows the count of wrong rows.
"""

from __future__ import annotations

import os
import uuid

import pytest

from tests.flow_lab import DIALLED_STATES, Setting, flow_lab
from tests.flows import PROFILES

pytestmark = pytest.mark.guest

IPVS = {"mode": "ipvs", "ipvs": {"scheduler": "rr"}}
LEGACY = {"mode": "iptables", "iptables": {"variant": "legacy"}}
SETTINGS = [
    (Setting("ipvs/rr", IPVS, PROFILES[0], "uml", sctp=True), DIALLED_STATES),
    (
        Setting("ipvs/rr", IPVS, PROFILES[1], "uml", sctp=True, families=(4,)),
        ("base", "local pods moved"),
    ),
    (
        Setting("iptables-legacy", LEGACY, PROFILES[0], "uml", sctp=True, families=(4,)),
        ("base",),
    ),
    (Setting("ipvs/rr", IPVS, PROFILES[0], "uml", cni="vxlan"), ("base",)),
    (Setting("ipvs/rr", IPVS, PROFILES[0], "uml", cni="weave", families=(4,)), ("base",)),
    (Setting("ipvs/rr", IPVS, PROFILES[0], "uml", cni="bgp", families=(4,)), ("base",)),
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
