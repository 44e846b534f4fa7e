"""A pod's class of service."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.apiserver.qos import qos_class

_ALL = {"cpu": "1", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("resources", "found"),
    [
        ([{}], "BestEffort"),
        ([{"limits": {"cpu": "0"}}], "BestEffort"),
        ([{"limits": {"example.com/gpu": "1"}}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
        ([{"limits": _ALL}], "Guaranteed"),
        ([{"limits": _ALL, "requests": {"cpu": "1000m"}}], "Guaranteed"),
        ([{"limits": _ALL, "requests": {"cpu": "500m"}}], "Burstable"),
        ([{"limits": {"cpu": "1"}}], "Burstable"),
        ([{"limits": _ALL}, {}], "Burstable"),
        ([{"limits": _ALL}, {"limits": _ALL}], "Guaranteed"),
    ],
)
def test_qos_class(resources: list[Any], found: str) -> None:
    assert qos_class({"containers": [{"resources": one} for one in resources]}) == found
