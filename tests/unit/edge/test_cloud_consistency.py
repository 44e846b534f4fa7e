"""What `check` says of a balancer outside the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.edge.cloud_consistency import mistakes
from testbed.model.cloud import HOST
from testbed.model.topology import Topology

POOL = "172.18.255.200-172.18.255.209"


def topology(cloud: dict[str, Any] | None = None, pool: str = POOL, **more: Any) -> Topology:
    balancer = {"provider": "cloud", "addresses": [pool], "cloud": cloud or {}}
    made = {"name": "x", "nodes": {"n1": {}, "n2": {}}, "loadBalancer": balancer}
    return Topology.model_validate(made | more)


def apart(program: str) -> Topology:
    """One of the nodes is behind a router."""
    links = [["n1", "sw"], [HOST, "sw"], ["sw", "r"], ["r", "n2"]]
    return topology(
        {"program": program},
        "172.18.0.200-172.18.0.201",
        routers={"r": {}},
        links=[{"endpoints": ends} for ends in links],
    )


def test_the_balancers_host_is_one_of_the_hosts() -> None:
    assert list(topology(hosts={"client": {}}).hosts) == ["client", HOST]
    assert list(topology({"host": "edge"}).hosts) == ["edge"]
    assert list(topology({"host": "edge"}, hosts={"edge": {}}).hosts) == ["edge"]


def test_another_provider_has_no_host() -> None:
    balancer = {"provider": "l2", "addresses": [POOL]}
    made = {"name": "x", "nodes": {"n1": {}}, "loadBalancer": balancer}
    assert not Topology.model_validate(made).hosts
    assert not list(mistakes(Topology.model_validate(made)))


@pytest.mark.parametrize("program", ["haproxy", "nftables", "ipvs"])
def test_nothing_is_wrong_on_one_switch(program: str) -> None:
    assert not list(mistakes(topology({"program": program})))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (topology({"program": "ipvs", "proxyProtocol": True}), "nothing to put in front"),
        (topology({"host": "n1"}), "n1 is a node"),
        (topology(pool="203.0.113.0/28"), "not of the segment that balancer is in"),
        (apart("nftables"), "node n2 is in another segment"),
    ],
)
def test_what_is_wrong(made: Topology, said: str) -> None:
    assert any(said in one.message for one in mistakes(made))


def test_haproxy_reaches_nodes_behind_routers() -> None:
    said = [one.message for one in mistakes(apart("haproxy"))]
    assert not any("segment than" in one for one in said)
