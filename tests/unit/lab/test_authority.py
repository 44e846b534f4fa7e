"""Certificates that a topology asks for."""

from __future__ import annotations

import ssl

from testbed.edge.certificates import pem_of
from testbed.lab.authority import Authority
from testbed.model.ingress import Ingress


def ingress(*hosts: str) -> Ingress:
    return Ingress.model_validate({"certificates": {"shop": {"hosts": hosts, "namespace": "a"}}})


def test_a_certificate_for_the_same_hosts_is_the_same_one() -> None:
    authority = Authority()
    (first,) = authority.secrets(ingress("x.test"))
    assert authority.secrets(ingress("x.test")) == [first]
    (other,) = authority.secrets(ingress("x.test", "*.x.test"))
    assert pem_of(other) != pem_of(first)
    assert (other.meta.namespace, other.meta.name) == ("a", "shop")
    assert authority.secrets(None) == []


def test_the_authority_is_one_that_clients_take() -> None:
    context = ssl.create_default_context(cadata=Authority().ca_pem)
    assert context.cert_store_stats()["x509_ca"] == 1
