"""Which pods may answer a URL."""

from __future__ import annotations

import pytest

from testbed.lab.targets import backends_of, endpoints_of
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    TargetRef,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.nodes import Node
from testbed.model.objects.services import Service, ServicePort
from testbed.store import Create, Snapshot, Store
from testbed.traffic.spec import parse_url
from tests.addresses import PLAN

CLUSTER_IP, NODE_IP, NODE_PORT = "10.96.0.50", "172.18.0.2", 30080
NODE_IPV6, POD_IPV6 = "fd00:172:18::2", "fd00:10:244::2"


def endpoint(pod: str, *, ready: bool = True) -> Endpoint:
    return Endpoint((PLAN.pods["web-0"],), ready=ready, target=TargetRef("default", pod))


@pytest.fixture
def snapshot() -> Snapshot:
    """default/web with two ready pods and one that is not."""
    store = Store(lambda: 0.0)
    endpoints = (endpoint("web-1"), endpoint("web-0"), endpoint("web-2", ready=False))
    store.apply(
        [
            Create(Node(ObjectMeta("n1"), internal_ips=(NODE_IP, NODE_IPV6))),
            Create(
                Service(
                    ObjectMeta("web", "default"),
                    (ServicePort(80, node_port=NODE_PORT),),
                    cluster_ips=(CLUSTER_IP,),
                )
            ),
            Create(
                EndpointSlice(
                    ObjectMeta("web-a", "default", labels={SERVICE_NAME_LABEL: "web"}),
                    endpoints,
                    (EndpointPort(8080),),
                )
            ),
            Create(
                EndpointSlice(
                    ObjectMeta("web-b", "default", labels={SERVICE_NAME_LABEL: "web"}),
                    (Endpoint((POD_IPV6,), target=TargetRef("default", "web-0")),),
                    (EndpointPort(8080),),
                    address_type="IPv6",
                )
            ),
        ]
    )
    return store.snapshot()


@pytest.mark.parametrize(
    ("url", "namespace", "is_meant"),
    [
        ("http://web/", "default", True),
        ("http://web/", "other", False),
        ("http://web.default/", "other", True),
        ("http://web.default.svc.cluster.local./", "other", True),
        (f"http://{CLUSTER_IP}/", "default", True),
        (f"http://{NODE_IP}:{NODE_PORT}/", "default", True),
        (f"http://{NODE_IP}:80/", "default", False),
        ("http://nobody/", "default", False),
    ],
)
def test_the_ready_pods_of_the_service_that_is_named(
    snapshot: Snapshot, url: str, namespace: str, is_meant: bool
) -> None:
    found = backends_of(parse_url(url), namespace, snapshot)
    assert found == (("web-0", "web-1") if is_meant else ())


@pytest.mark.parametrize(("node", "pod"), [(NODE_IP, PLAN.pods["web-0"]), (NODE_IPV6, POD_IPV6)])
def test_a_packet_is_sent_on_in_its_own_ip_family(snapshot: Snapshot, node: str, pod: str) -> None:
    assert endpoints_of(snapshot, node, NODE_PORT, "tcp") == ((pod, 8080),)
