"""What `check` says of a topology's ingresses."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.edge.ingress_foreseen import foreseen
from testbed.model.topology import Topology
from tests.unit.edge.ingresses import path


def topology(ingress: dict[str, Any] | None, **spec: Any) -> Topology:
    rules = [{"host": "x.test", "http": {"paths": [path("/", spec.pop("service", "web"))]}}]
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "a"},
        "spec": {"rules": rules, **spec},
    }
    return Topology.model_validate(
        {
            "name": "shop",
            "nodes": {"n1": {}},
            "workloads": {"web": {}},
            "services": {"web": {"port": 80}},
            "manifests": [manifest],
            **({} if ingress is None else {"ingress": ingress}),
        }
    )


TLS = [{"hosts": ["x.test"], "secretName": "x-tls"}]
MADE = {"certificates": {"x-tls": {"hosts": ["x.test"]}}}
TABLE: tuple[tuple[str, Topology, list[str]], ...] = (
    ("all is there", topology({}), []),
    ("nobody would serve it anyway", topology(None, service="wep"), []),
    ("a service that is none", topology({}, service="wep"), ["there is no service default/wep"]),
    (
        "a class that is none",
        topology({}, ingressClassName="nginx"),
        ["there is no IngressClass nginx"],
    ),
    (
        "no class",
        topology({"default": False}),
        ["it names no IngressClass, and none is the default one"],
    ),
    (
        "a Secret that is none",
        topology({}, tls=TLS),
        ["there is no secret default/x-tls: the default certificate is shown instead"],
    ),
    ("a Secret that the lab makes", topology(MADE, tls=TLS), []),
)


@pytest.mark.parametrize(
    ("given", "said"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_foreseen(given: Topology, said: list[str]) -> None:
    assert foreseen(given) == [f"Ingress default/a: {message}" for message in said]
