"""Names that external-dns publishes for a service or an Ingress: rows of objects -> records of the zone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from testbed.dns.external import line
from testbed.dns.outside import PREFIX, Around, hostnames, of_ingress, of_service, records
from testbed.model.containers import Container
from testbed.model.objects.endpoint_slices import Endpoint, EndpointSlice, TargetRef
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod, PodSpec, PodStatus
from testbed.model.objects.services import LoadBalancerIngress, Service, ServicePort

ZONE = "example.test"
NODES = tuple(
    Node(ObjectMeta(name), (ip, f"fd00::{at}"))
    for at, (name, ip) in enumerate((("n1", "172.18.0.2"), ("n2", "172.18.0.3")), 1)
)
LABELS = {"app": "web"}
PORTS = (ServicePort(80, "http", "TCP", 8080, 30080),)


def pod(name: str, node: str, ip: str, *, ready: bool = True, **spec: Any) -> Pod:
    return Pod(
        ObjectMeta(name, "default", labels=LABELS),
        PodSpec((Container("c", "echo"),), node_name=node, **spec),
        PodStatus("Running", (ip,), ready=ready),
    )


def service(kind: str, *, notes: dict[str, str] | None = None, **fields: Any) -> Service:
    """Published as shop.example.test, if the notes do not say otherwise."""
    said = {"hostname": f"shop.{ZONE}"} if notes is None else notes
    annotations = {f"{PREFIX}{key}": value for key, value in said.items()}
    meta = ObjectMeta("web", "default", annotations=annotations)
    return Service(meta, PORTS, LABELS, kind, **fields)


BALANCED = {"load_balancer_ingress": (LoadBalancerIngress("203.0.113.7"),)}
IN_NODES = ("172.18.0.2", "172.18.0.3")
SRV = "_web._tcp.shop.example.test. 300 IN SRV 0 50 30080 shop.example.test."
ADDRESS = "shop.example.test. 300 IN A"
PODS = (
    pod("web-0", "n1", "10.244.0.2", hostname="a"),
    pod("web-1", "n2", "10.244.1.2", ready=False),
)
SLICE = EndpointSlice(
    ObjectMeta("web-1", "default", labels={"kubernetes.io/service-name": "web"}),
    (
        Endpoint(("10.244.0.2",), target=TargetRef("default", "web-0")),
        Endpoint(("10.244.1.2",), ready=False, target=TargetRef("default", "web-1")),
    ),
)

ROWS: dict[str, tuple[Service, list[str]]] = {
    "without an annotation nothing": (service("LoadBalancer", notes={}, **BALANCED), []),
    "a load balancer's address": (
        service("LoadBalancer", **BALANCED),
        [f"{ADDRESS} 203.0.113.7"],
    ),
    "no address yet: no name yet": (service("LoadBalancer"), []),
    "external addresses before those of a load balancer": (
        service("LoadBalancer", external_ips=("198.51.100.1",), **BALANCED),
        [f"{ADDRESS} 198.51.100.1"],
    ),
    "a load balancer that is a name": (
        service("LoadBalancer", load_balancer_ingress=(LoadBalancerIngress("", "lb.cloud.test"),)),
        ["shop.example.test. 300 IN CNAME lb.cloud.test."],
    ),
    "both families": (
        service(
            "LoadBalancer",
            load_balancer_ingress=(
                LoadBalancerIngress("203.0.113.7"),
                LoadBalancerIngress("2001:db8::7"),
            ),
        ),
        [f"{ADDRESS} 203.0.113.7", "shop.example.test. 300 IN AAAA 2001:db8::7"],
    ),
    "a node port is on every node, and in SRV": (
        service("NodePort", notes={"hostname": f"shop.{ZONE}", "access": "private"}),
        [
            SRV,
            *(f"{ADDRESS} {ip}" for ip in IN_NODES),
            *(f"shop.example.test. 300 IN AAAA fd00::{at}" for at in (1, 2)),
        ],
    ),
    "policy Local: nodes with a ready pod": (
        service("NodePort", external_traffic_policy="Local"),
        [SRV, f"{ADDRESS} 172.18.0.2", "shop.example.test. 300 IN AAAA fd00::1"],
    ),
    "public: no node has an address for that but those of IPv6": (
        service("NodePort", notes={"hostname": f"shop.{ZONE}", "access": "public"}),
        [SRV, *(f"shop.example.test. 300 IN AAAA fd00::{at}" for at in (1, 2))],
    ),
    "a cluster address is nobody's outside": (
        service("ClusterIP", cluster_ips=("10.96.0.7",)),
        [],
    ),
    "but where it is asked for": (
        service("ClusterIP", notes={"internal-hostname": f"in.{ZONE}"}, cluster_ips=("10.96.0.7",)),
        ["in.example.test. 300 IN A 10.96.0.7"],
    ),
    "headless: ready pods, and their hostnames": (
        service("ClusterIP", cluster_ips=("None",)),
        ["a.shop.example.test. 300 IN A 10.244.0.2", f"{ADDRESS} 10.244.0.2"],
    ),
    "headless: those that are not ready, too": (
        service("ClusterIP", cluster_ips=("None",), publish_not_ready_addresses=True),
        [
            "a.shop.example.test. 300 IN A 10.244.0.2",
            f"{ADDRESS} 10.244.0.2",
            f"{ADDRESS} 10.244.1.2",
        ],
    ),
    "headless on its nodes": (
        service(
            "ClusterIP",
            notes={"hostname": f"shop.{ZONE}", "endpoints-type": "HostIP"},
            cluster_ips=("None",),
        ),
        ["a.shop.example.test. 300 IN A 172.18.0.2", f"{ADDRESS} 172.18.0.2"],
    ),
    "another name outside": (
        service("ExternalName", external_name="db.elsewhere.test"),
        ["shop.example.test. 300 IN CNAME db.elsewhere.test."],
    ),
    "its own targets, whatever it is": (
        service("NodePort", notes={"hostname": f"shop.{ZONE}", "target": "192.0.2.1, 192.0.2.2"}),
        [f"{ADDRESS} 192.0.2.1", f"{ADDRESS} 192.0.2.2"],
    ),
    "several names and a TTL": (
        service(
            "LoadBalancer",
            notes={"hostname": f"a.{ZONE}., B.{ZONE}", "ttl": "1m"},
            **BALANCED,
        ),
        ["a.example.test. 60 IN A 203.0.113.7", "b.example.test. 60 IN A 203.0.113.7"],
    ),
    "an impossible TTL is none": (
        service("LoadBalancer", notes={"hostname": f"shop.{ZONE}", "ttl": "soon"}, **BALANCED),
        [f"{ADDRESS} 203.0.113.7"],
    ),
    "names of other zones are not ours": (
        service("LoadBalancer", notes={"hostname": "shop.example.com,notexample.test"}, **BALANCED),
        [],
    ),
    "names that no packet carries are none": (
        service("LoadBalancer", notes={"hostname": f"{'x' * 64}.{ZONE}"}, **BALANCED),
        [],
    ),
    "somebody else's": (
        service("LoadBalancer", notes={"hostname": f"shop.{ZONE}", "controller": "me"}, **BALANCED),
        [],
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_service(row: tuple[Service, list[str]]) -> None:
    asked, wanted = row
    around = Around(lambda: NODES, lambda _: PODS, lambda _: (SLICE,))
    assert zone(of_service(asked, around)) == wanted


def zone(names: Any) -> list[str]:
    found = records(names, ZONE, 300)
    return [line(record) for name in sorted(found) for record in found[name]]


INGRESS: dict[str, Any] = {
    "metadata": {"name": "shop", "annotations": {f"{PREFIX}hostname": f"also.{ZONE}"}},
    "spec": {
        "rules": [{"host": f"shop.{ZONE}"}, {"host": f"*.dev.{ZONE}"}, {}],
        "tls": [{"hosts": [f"safe.{ZONE}"]}],
    },
    "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}},
}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("", ["*.dev", "also", "safe", "shop"]),
        ("defined-hosts-only", ["*.dev", "safe", "shop"]),
        ("annotation-only", ["also"]),
    ],
)
def test_hosts_of_an_ingress(source: str, names: list[str]) -> None:
    notes = {**INGRESS["metadata"]["annotations"], f"{PREFIX}ingress-hostname-source": source}
    asked = {**INGRESS, "metadata": {"name": "shop", "annotations": notes}}
    assert zone(of_ingress(asked)) == [f"{name}.{ZONE}. 300 IN A 203.0.113.9" for name in names]


def test_an_ingress_without_an_address_has_no_names() -> None:
    assert of_ingress({**INGRESS, "status": {}}) == ()


def test_who_shares_a_name_adds_to_it_and_the_shortest_ttl_counts() -> None:
    one = service("LoadBalancer", **BALANCED)
    other = service(
        "LoadBalancer",
        notes={"hostname": f"SHOP.{ZONE}", "ttl": "10"},
        load_balancer_ingress=(LoadBalancerIngress("203.0.113.1"),),
    )
    named = service("ExternalName", external_name="elsewhere.test")
    around = Around(lambda: (), lambda _: (), lambda _: ())
    names = [found for item in (named, one, other) for found in of_service(item, around)]
    wanted = [f"shop.{ZONE}. 10 IN A 203.0.113.1", f"shop.{ZONE}. 10 IN A 203.0.113.7"]
    assert zone(names) == zone(reversed(names)) == wanted


def test_all_pods_of_a_local_service_leave_last_of_all() -> None:
    """external-dns would rather lead somebody to a pod that is not ready than nowhere."""
    waiting = tuple(replace(one, status=replace(one.status, ready=False)) for one in PODS)
    around = Around(lambda: NODES, lambda _: waiting, lambda _: ())
    found = zone(of_service(service("NodePort", external_traffic_policy="Local"), around))
    assert [text for text in found if " IN A " in text] == [f"{ADDRESS} {ip}" for ip in IN_NODES]


def test_hostnames_in_lower_case() -> None:
    assert hostnames(
        service("NodePort", notes={"hostname": "A.example.test, b.example.test."})
    ) == (
        "a.example.test",
        "b.example.test",
    )
