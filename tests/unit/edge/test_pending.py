"""What `check` says of services whose address nobody in the lab gives out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.cli.main import main
from testbed.edge.pending import pending
from testbed.model.topology import Topology

NO_PROVIDER = "loadBalancer has no provider (l2, bgp and cloud give addresses out)"
L2 = {"provider": "l2", "addresses": ["172.18.255.200-172.18.255.219"]}


def topology(service: dict[str, Any], **spec: Any) -> Topology:
    return Topology.model_validate(
        {
            "name": "shop",
            "nodes": {"n1": {}},
            "workloads": {"web": {}},
            "services": {"web": {"port": 80, **service}},
            **spec,
        }
    )


ASKS = {"type": "LoadBalancer"}
FOREIGN = {**ASKS, "loadBalancerClass": "example.com/other"}
TABLE: tuple[tuple[str, Topology, list[str]], ...] = (
    ("it asks for none", topology({"type": "NodePort"}), []),
    ("nobody provides", topology(ASKS), [f"default/web: {NO_PROVIDER}"]),
    ("a provider serves it", topology(ASKS, loadBalancer=L2), []),
    (
        "a class that nobody serves",
        topology(FOREIGN, loadBalancer=L2),
        [
            "default/web: it asks for loadBalancerClass example.com/other, "
            "and the provider serves those that name no class"
        ],
    ),
    (
        "a provider for a class",
        topology(ASKS, loadBalancer={**L2, "loadBalancerClass": "example.com/other"}),
        [
            "default/web: it names no loadBalancerClass, "
            "and the provider serves those of class example.com/other"
        ],
    ),
    (
        "the class that the provider serves",
        topology(FOREIGN, loadBalancer={**L2, "loadBalancerClass": "example.com/other"}),
        [],
    ),
    (
        "an ingress controller's own service",
        topology({}, ingress={"expose": "LoadBalancer"}),
        [f"ingress-system/haproxy-ingress: {NO_PROVIDER}"],
    ),
    ("an ingress controller at its nodes", topology({}, ingress={}), []),
)


@pytest.mark.parametrize(
    ("given", "said"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_who_will_have_no_address(given: Topology, said: list[str]) -> None:
    found = [one.replace(" its address stays pending:", "") for one in pending(given)]
    assert found == [f"Service {one}" for one in said]


def test_check_notes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text("name: shop\nnodes: {n1: {}}\ningress: {expose: LoadBalancer}\n")
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().err == (
        f"{file}: Service ingress-system/haproxy-ingress: its address stays pending: {NO_PROVIDER}\n"
    )
