"""No request of a service fails while all others change: the short form of `python -m bench.bystander`."""

from __future__ import annotations

import pytest

from bench.bystander import NODES, RESTART_EVERY, Plan, run
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

ROUNDS = 60
CROWD = 150
"""So many services at once make iptables-nft replace its tables instead of editing them."""


@pytest.mark.parametrize("mode", ["iptables-nft", "iptables-legacy", "nftables", "userspace"])
def test_no_request_fails_while_other_services_change(mode: str) -> None:
    plan = Plan(mode, ROUNDS, CROWD)
    result = run(plan, unique_name())
    print(result)
    assert result.failures == []
    assert all(result.requests.values())
    assert min(result.syncs[node] for node in NODES) >= ROUNDS
    assert result.full_syncs >= (ROUNDS // RESTART_EVERY if plan.restarts else 0)
    assert result.beside_a_sync > 0
