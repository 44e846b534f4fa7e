"""Chain names against vectors taken from the real kube-proxy."""

from __future__ import annotations

import pytest

from testbed.proxy.names import endpoint_chain, service_port_name, service_suffix


@pytest.mark.parametrize(
    ("namespace", "name", "port_name", "suffix"),
    [("ns1", "web", "http", "4LVCYZMTA5CQO6SX"), ("ns1", "noname", "", "O4YLO3BUCHITOS6M")],
)
def test_a_service_port_has_the_name_that_kube_proxy_gives_it(
    namespace: str, name: str, port_name: str, suffix: str
) -> None:
    assert service_suffix(service_port_name(namespace, name, port_name), "tcp") == suffix


def test_an_endpoint_has_the_name_that_kube_proxy_gives_it() -> None:
    chain = endpoint_chain("ns1/web:http", "tcp", "10.244.1.2:8080")
    assert chain == "KUBE-SEP-TCHSYJU4C2SBUOO7"


def test_protocols_have_chains_of_their_own() -> None:
    assert service_suffix("ns1/dns:dns", "udp") != service_suffix("ns1/dns:dns", "tcp")
