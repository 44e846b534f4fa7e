"""Some hundred endpoint changes under load in IPVS mode, in the packaged guest kernel (see `bench.soak`)."""

from __future__ import annotations

import os
import uuid

import pytest

from bench.soak import Soak, run

pytestmark = pytest.mark.guest

CHANGES = 200


def test_rules_equal_a_fresh_plan_and_nobody_reaches_a_withdrawn_backend() -> None:
    name = f"soak-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    result = run(Soak("ipvs/rr", CHANGES, kernel="uml"), name)
    print(result)
    assert result.differing_nodes == []
    assert result.strays == []
    assert result.changes >= CHANGES
    assert result.after_withdrawal > 0
