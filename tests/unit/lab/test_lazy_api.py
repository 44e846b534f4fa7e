"""When a lab's API opens by itself: where pods of the topology are to reach it."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.lab.lazy_api import asked_for
from testbed.model.support import idle
from testbed.model.topology import Topology


def topology(*manifests: dict[str, Any]) -> Topology:
    found = {"name": "a", "nodes": {"n1": {}}, "manifests": manifests}
    return Topology.model_validate(found)


def manifest(kind: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "a"}, "spec": spec}


@pytest.mark.parametrize(
    ("row", "opens"),
    [
        (manifest("ConfigMap"), False),
        (manifest("Service", ports=[]), False),
        (manifest("Pod", containers=[]), False),
        (manifest("Pod", serviceAccountName="robot"), True),
        (manifest("Deployment", template={"spec": {"serviceAccount": "robot"}}), True),
        (manifest("Deployment", template={"spec": {}}), False),
        (manifest("ServiceAccount"), True),
        ({"kind": "Pod", "spec": None}, False),
    ],
)
def test_a_manifest_may_ask_for_it(row: dict[str, Any], opens: bool) -> None:
    assert asked_for(topology(manifest("ConfigMap"), row)) is opens


def test_what_nothing_acts_on_is_named() -> None:
    rows = (manifest("Ingress"), manifest("NetworkPolicy"), manifest("ConfigMap"))
    assert idle(topology(*rows)).endswith(
        "acts on it: Ingress a, NetworkPolicy a (`ingress: {}` in the topology runs a controller)"
    )
    assert idle(topology(manifest("ConfigMap"))) == ""
