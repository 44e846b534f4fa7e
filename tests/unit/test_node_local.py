"""`dns.nodeLocal`: the cache on every node, from a topology's key to its objects and its Corefile."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from testbed.dns.chain import planned
from testbed.model.addressing import name_servers
from testbed.model.documents import ConfigMap
from testbed.model.node_local import NAME, UPSTREAM
from testbed.model.node_local_corefile import COREFILE, filled
from testbed.model.objects.services import Service
from testbed.model.objects.workloads import DaemonSet
from testbed.model.shorthand import expand
from testbed.model.topology import Topology


def topology(dns: dict[str, Any], **network: Any) -> Topology:
    made: dict[str, Any] = {"name": "lab", "nodes": {"n1": {}}, "dns": dns, "network": network}
    return Topology.model_validate(made)


@pytest.mark.parametrize(
    ("node_local", "asked"),
    [
        (True, "169.254.20.10"),
        ({}, "169.254.20.10"),
        ({"address": "169.254.25.10"}, "169.254.25.10"),
        (False, "10.96.0.10"),
        (None, "10.96.0.10"),
    ],
)
def test_pods_ask_the_cache_on_their_node_where_there_is_one(node_local: Any, asked: str) -> None:
    assert name_servers(topology({"nodeLocal": node_local})) == (asked,)


def test_in_a_cluster_of_ipv6_it_listens_on_an_address_of_that_family() -> None:
    ipv6 = topology({"nodeLocal": True}, podCIDR="fd00:10:244::/56")
    assert name_servers(ipv6) == ("fd00:169:254:20::10",)


@pytest.mark.parametrize(
    ("dns", "said"),
    [
        ({"nodeLocal": True, "replicas": 0}, "replicas: 0 leaves none"),
        ({"nodeLocal": {"address": "here"}}, "here"),
        ({"nodeLocal": {"port": 53}}, "port"),
        ({"nodeLocal": "yes"}, "must be true, or a mapping"),
    ],
)
def test_what_is_no_cache_is_said(dns: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        topology(dns)


def test_its_objects_are_those_of_nodelocal_dnscache() -> None:
    objects = {(type(one), one.meta.name): one for one in expand(topology({"nodeLocal": True}))}
    pods = objects[DaemonSet, NAME].template.spec
    assert pods.host_network
    assert pods.containers[0].args == ("-localip", "169.254.20.10", "-upstreamsvc", UPSTREAM)
    assert objects[Service, UPSTREAM].selector == objects[Service, "kube-dns"].selector
    assert objects[ConfigMap, NAME].body["data"]["Corefile"] == COREFILE
    assert not {NAME, UPSTREAM} & {one.meta.name for one in expand(topology({}))}


@pytest.mark.parametrize("local", ["169.254.20.10", "fd00:169:254:20::10"])
def test_its_corefile_is_one_that_a_server_takes(local: str) -> None:
    text = filled(COREFILE, "example.test", local, "10.96.0.99")
    assert "__PILLAR__" not in text
    plan = planned(text)
    assert plan.addresses == (local,)
    assert [block.zones for block in plan.blocks] == [("example.test",), ("",)]
