"""No request of a service fails while every other service changes, in IPVS mode (see `bench.bystander`)."""

from __future__ import annotations

import os
import uuid

import pytest

from bench.bystander import NODES, RESTART_EVERY, Plan, run

pytestmark = pytest.mark.guest

ROUNDS = 6


def test_no_request_fails_while_other_services_change() -> None:
    plan = Plan("ipvs/rr", ROUNDS, crowd=10, rate_rps=5.0, kernel="uml")
    result = run(plan, f"bystander-{os.getpid()}-{uuid.uuid4().hex[:6]}")
    print(result)
    assert result.failures == []
    assert all(result.requests.values())
    assert min(result.syncs[node] for node in NODES) >= ROUNDS
    assert result.full_syncs >= ROUNDS // RESTART_EVERY
    assert result.beside_a_sync > 0
