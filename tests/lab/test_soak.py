"""Some hundred endpoint changes under load in each mode: the short form of `python -m bench.soak`."""

from __future__ import annotations

import pytest

from bench.soak import Soak, run
from tests.lab.conftest import unique_name

pytestmark = pytest.mark.lab

CHANGES = 300


@pytest.mark.parametrize("mode", ["iptables-nft", "iptables-legacy", "nftables", "userspace"])
def test_rules_equal_a_fresh_plan_and_nobody_reaches_a_withdrawn_backend(mode: str) -> None:
    result = run(Soak(mode, CHANGES), unique_name())
    print(result)
    assert result.differing_nodes == []
    assert result.strays == []
    assert result.changes >= CHANGES
    assert result.after_withdrawal > 0
