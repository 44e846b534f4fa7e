"""How many source addresses a load needs, so that TIME_WAIT never holds half of the ports."""

from __future__ import annotations

import pytest

from testbed.lab.loads import addresses_needed
from testbed.traffic.spec import LoadSpec

OPEN = {"source": "client-0", "url": "http://web", "duration_s": 60.0}


@pytest.mark.parametrize(
    ("changes", "addresses"),
    [
        pytest.param({"rate_rps": 100.0}, 1, id="6,000 connections fit one address"),
        pytest.param({"rate_rps": 1000.0}, 5, id="60,000 connections at 14,000 an address"),
        pytest.param({"rate_rps": 1000.0, "duration_s": 600.0}, 5, id="a minute is all that waits"),
        pytest.param({"rate_rps": 1000.0, "duration_s": 10.0}, 1, id="a short load"),
        pytest.param({"rate_rps": 1000.0, "reuse": 10}, 1, id="kept connections"),
        pytest.param({"rate_rps": 1000.0, "close": "rst"}, 1, id="a reset leaves no TIME_WAIT"),
        pytest.param({"rate_rps": 1000.0, "url": "udp://web:80"}, 1, id="nor does UDP"),
        pytest.param({"rate_rps": 1e6}, 64, id="there is a most"),
        pytest.param({"connections": 4, "duration_s": 1.0}, 2, id="closed loop: as fast as it can"),
    ],
)
def test_addresses_needed(changes: dict[str, object], addresses: int) -> None:
    assert addresses_needed(LoadSpec.from_json({**OPEN, **changes})) == addresses
