"""Whom a client asks, by the names that people type."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.errors import NotFound, TestbedError, UsageError
from testbed.lab.asked import other_way, url_of
from testbed.traffic.spec import parse_url
from tests.addresses import PLAN, PLAN6

WEB, DATAGRAM, POD = PLAN.addresses["web"], PLAN.addresses["datagram"], PLAN.pods["web-1"]


def service(
    name: str, ip: str, *ports: tuple[str, int], namespace: str = "default"
) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "name": name,
        "type": "ClusterIP",
        "clusterIP": ip,
        "clusterIPs": [ip],
        "loadBalancer": [],
        "hostnames": [],
        "ports": [{"protocol": kind, "port": port, "nodePort": None} for kind, port in ports],
    }


WORLD: dict[str, Any] = {
    "nodes": [{"name": "n1", "addresses": [PLAN.nodes["n1"]]}],
    "pods": [
        {"namespace": "default", "name": "dialer-1", "ip": PLAN.pods["dialer-1"]},
        {"namespace": "default", "name": "web-1", "ip": POD},
        {"namespace": "shop", "name": "buyer", "ip": PLAN.pods["dialer-3"]},
    ],
    "services": [
        service("web", WEB, ("TCP", 80)),
        service("datagram", DATAGRAM, ("UDP", 90), ("TCP", 91)),
        service("stream", PLAN.addresses["stream"], ("SCTP", 80)),
        service("web", PLAN6.addresses["web"], ("TCP", 8080), namespace="shop"),
    ],
}
WITH_DNS = {
    **WORLD,
    "services": [
        *WORLD["services"],
        service("kube-dns", PLAN.addresses["dns"], ("UDP", 53), namespace="kube-system"),
    ],
}


@pytest.mark.parametrize(
    ("world", "source", "to", "url"),
    [
        pytest.param(WITH_DNS, "dialer-1", "web", "http://web:80/hostname", id="a pod looks it up"),
        pytest.param(WORLD, "dialer-1", "web", f"http://{WEB}:80/hostname", id="without DNS"),
        pytest.param(WITH_DNS, "n1", "web", f"http://{WEB}:80/hostname", id="a node has no DNS"),
        pytest.param(WITH_DNS, "dialer-1", "web:80", "http://web:80/hostname", id="with its port"),
        pytest.param(
            WITH_DNS, "shop/buyer", "web", "http://web:8080/hostname", id="of the pod's namespace"
        ),
        pytest.param(
            WITH_DNS, "dialer-1", "web.shop", "http://web.shop:8080/hostname", id="of another one"
        ),
        pytest.param(
            WORLD, "n1", "datagram", f"udp://{DATAGRAM}:90/hostname", id="of its first protocol"
        ),
        pytest.param(
            WORLD, "n1", "datagram:91", f"http://{DATAGRAM}:91/hostname", id="of the port's own"
        ),
        pytest.param(WORLD, "n1", "web-1:8080", f"http://{POD}:8080/hostname", id="a pod"),
        pytest.param(
            WORLD, "dialer-1", "n1:30080", f"http://{PLAN.nodes['n1']}:30080/hostname", id="a node"
        ),
        pytest.param(
            WORLD,
            "n1",
            f"[{PLAN6.pods['web-1']}]:80",
            f"http://[{PLAN6.pods['web-1']}]:80/hostname",
            id="an IPv6 address",
        ),
    ],
)
def test_a_name_stands_for_a_url(world: dict[str, Any], source: str, to: str, url: str) -> None:
    assert url_of(world, source, to) == url


def test_a_protocol_may_be_asked_for() -> None:
    assert url_of(WORLD, "n1", "datagram", "tcp") == f"http://{DATAGRAM}:91/hostname"


@pytest.mark.parametrize(
    ("to", "kind", "said"),
    [
        ("wep", NotFound, "no service 'wep' with a port to ask"),
        ("web-1", UsageError, "web-1 has no port"),
        ("web:http", UsageError, "'http' in 'web:http' is no port"),
        ("stream", UsageError, "stream speaks sctp"),
    ],
)
def test_what_stands_for_none(to: str, kind: type[TestbedError], said: str) -> None:
    with pytest.raises(kind) as caught:
        url_of(WORLD, "n1", to)
    assert caught.value.message == said


@pytest.mark.parametrize(
    ("source", "url", "said"),
    [
        ("client", f"http://{WEB}", "a client outside the cluster dials n2:30080 (a node port)"),
        ("client", f"udp://{WEB}:80", ""),
        ("client", f"http://{POD}", ""),
        ("client", "http://web.example.test", ""),
        ("dialer-1", f"http://{WEB}", ""),
        ("default/dialer-1", f"http://{WEB}", ""),
        ("shop/buyer", f"http://{WEB}", ""),
        ("n1", f"http://{WEB}", ""),
    ],
)
def test_what_an_outside_host_dials_instead(source: str, url: str, said: str) -> None:
    nodes = [{"name": name, "ready": name == "n2"} for name in ("n1", "n2")]
    web = service("web", WEB)
    web |= {
        "loadBalancerIPs": [],
        "ports": [{"protocol": "TCP", "port": 80, "nodePort": 30080}],
    }
    world = {**WORLD, "nodes": nodes, "services": [web]}
    assert other_way(world, source, parse_url(url)) == said
