"""A pod's class of service, by what its containers ask for.

Source: `pkg/apis/core/v1/helper/qos/qos.go`. A limit without a request is a request, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.apiserver.validation.quantity import quantity

_COUNTED = ("cpu", "memory")


def qos_class(spec: Mapping[str, Any]) -> str:
    """BestEffort, Burstable or Guaranteed."""
    containers = [*spec.get("containers", ()), *spec.get("initContainers", ())]
    asked = [_asked(container.get("resources") or {}) for container in containers]
    if not any(requests or limits for requests, limits in asked):
        return "BestEffort"
    complete = all(
        limits.keys() == {*_COUNTED} and requests == limits for requests, limits in asked
    )
    return "Guaranteed" if complete else "Burstable"


def _asked(resources: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Requests and limits that are more than nothing."""
    limits = _amounts(resources.get("limits") or {})
    return {**limits, **_amounts(resources.get("requests") or {})}, limits


def _amounts(said: Mapping[str, str]) -> dict[str, Any]:
    found = {name: quantity(str(said[name])) for name in _COUNTED if name in said}
    return {name: amount for name, amount in found.items() if amount > 0}
