"""A lab's own certificate authority: certificates that the topology asks for, and ingress controllers' own."""

from __future__ import annotations

import base64
from functools import cached_property

import trustme

from testbed.edge.certificates import CERT_KEY, KEY_KEY, TLS_TYPE
from testbed.model.documents import Secret
from testbed.model.ingress import Certificate, Ingress
from testbed.model.objects.metadata import ObjectMeta

_DEFAULT_HOST = "ingress.invalid"
"""RFC 2606: the name of nobody."""


class Authority:
    """Of one lab; it is made when it is first needed, and ends with the lab."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[tuple[str, ...], Secret]] = {}
        """Secrets by namespace and name, and the hosts that each is for."""

    @cached_property
    def _ca(self) -> trustme.CA:
        return trustme.CA(organization_name="testbed", organization_unit_name="a lab's own CA")

    @property
    def ca_pem(self) -> str:
        """What clients verify by."""
        return self._ca.cert_pem.bytes().decode()

    @cached_property
    def default_pem(self) -> str:
        """The certificate, with its key, for hosts that have none."""
        chain, key = self._issued((_DEFAULT_HOST,))
        return (chain + key).decode()

    def secrets(self, ingress: Ingress | None) -> list[Secret]:
        """Those that a topology asks for; a certificate for the same hosts is the same one as before."""
        wanted = ingress.certificates if ingress is not None else {}
        return [self._secret(name, certificate) for name, certificate in wanted.items()]

    def _secret(self, name: str, certificate: Certificate) -> Secret:
        key = certificate.namespace, name
        hosts, made = self._made.get(key, ((), None))
        if made is None or hosts != certificate.hosts:
            chain, private = self._issued(certificate.hosts)
            data = {
                CERT_KEY: base64.b64encode(chain).decode(),
                KEY_KEY: base64.b64encode(private).decode(),
            }
            made = Secret(
                ObjectMeta(name, certificate.namespace, rest={"data": data, "type": TLS_TYPE})
            )
            self._made[key] = certificate.hosts, made
        return made

    def _issued(self, hosts: tuple[str, ...]) -> tuple[bytes, bytes]:
        """A certificate with its chain, and its key, each in PEM."""
        leaf = self._ca.issue_cert(*hosts, common_name=hosts[0][:64])
        return b"".join(one.bytes() for one in leaf.cert_chain_pems), leaf.private_key_pem.bytes()
