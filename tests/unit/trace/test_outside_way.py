"""What a client outside is told that dialled a cluster address."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.trace.account import account
from testbed.trace.evidence import Evidence
from testbed.trace.prediction import World
from tests.addresses import PLAN, PLAN6
from tests.unit.trace.test_comparison import evidence

WEB, BALANCER = PLAN.addresses["web"], PLAN.addresses["external-lb"]
NODES = {"n1": (PLAN.nodes["n1"],), "n2": (PLAN.nodes["n2"],)}


def asked(source: str = "host", dialled: str = WEB, **service: Any) -> Evidence:
    node_port = service.pop("nodePort", None)
    web = {
        "namespace": "default",
        "name": "web",
        "clusterIPs": [WEB],
        "loadBalancerIPs": [],
        "ports": [
            {"protocol": "UDP", "port": 80, "nodePort": 30053},
            {"protocol": "TCP", "port": 80, "nodePort": node_port},
        ],
        **service,
    }
    return replace(
        evidence(),
        source={"kind": source, "name": "client", "node": ""},
        dialled=dialled,
        dialled_port=80,
        bound=(PLAN.hosts["client"], 40000, dialled, 80),
        services=(web,),
        world=World({}, {}, NODES, {"client": (PLAN.hosts["client"],)}, stopped=frozenset({"n1"})),
    )


BALANCED = {"loadBalancerIPs": [BALANCER, PLAN6.addresses["external-lb"]]}
DIALS = "a client outside the cluster dials"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(asked(), "", id="there is no way in"),
        pytest.param(asked(nodePort=30080), f"{DIALS} n2:30080 (a node port)", id="a node port"),
        pytest.param(
            asked(**BALANCED), f"{DIALS} {BALANCER}:80 (its load balancer)", id="of its IP family"
        ),
        pytest.param(
            asked(**BALANCED, nodePort=30080),
            f"{DIALS} {BALANCER}:80 (its load balancer) or n2:30080 (a node port)",
            id="both",
        ),
        pytest.param(asked("pod", nodePort=30080), "", id="a pod may dial it"),
        pytest.param(asked(dialled=BALANCER, **BALANCED), "", id="it was the right one"),
    ],
)
def test_what_to_dial_from_outside(given: Evidence, said: str) -> None:
    """Whether or not the kernel had a way to send it."""
    assert account(given, (), b"")["hint"] == said
    assert account(replace(given, bound=None), (), b"")["hint"] == said
