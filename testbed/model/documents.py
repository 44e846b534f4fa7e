"""Kinds of objects that the lab stores for others and does not read: metadata, and whatever the manifest says.

The manifest's own keys (`data`, `spec`, `rules`, …) are in `meta.rest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from testbed.model.fields import Fields
from testbed.model.metadata_read import meta
from testbed.model.objects.metadata import ObjectMeta


@dataclass(frozen=True, slots=True)
class Document:
    """One such object."""

    kind: ClassVar[str]
    api_version: ClassVar[str] = "v1"
    namespaced: ClassVar[bool] = True
    meta: ObjectMeta

    @property
    def body(self) -> Mapping[str, Any]:
        """The manifest's own keys, `metadata` of which is what `meta` has no field for."""
        return self.meta.rest


class Namespace(Document):
    kind = "Namespace"
    namespaced = False


SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
"""Those that every cluster is born with."""


class Endpoints(Document):
    kind = "Endpoints"


class ConfigMap(Document):
    kind = "ConfigMap"


class Secret(Document):
    kind = "Secret"


class ServiceAccount(Document):
    kind = "ServiceAccount"


class Event(Document):
    kind = "Event"


class Lease(Document):
    kind = "Lease"
    api_version = "coordination.k8s.io/v1"


class Ingress(Document):
    kind = "Ingress"
    api_version = "networking.k8s.io/v1"


class IngressClass(Document):
    kind = "IngressClass"
    api_version = "networking.k8s.io/v1"
    namespaced = False


class NetworkPolicy(Document):
    kind = "NetworkPolicy"
    api_version = "networking.k8s.io/v1"


class ServiceCIDR(Document):
    kind = "ServiceCIDR"
    api_version = "networking.k8s.io/v1"
    namespaced = False


class IPAddress(Document):
    kind = "IPAddress"
    api_version = "networking.k8s.io/v1"
    namespaced = False


DOCUMENTS: dict[str, type[Document]] = {
    kind.kind: kind
    for kind in (
        Namespace,
        Endpoints,
        ConfigMap,
        Secret,
        ServiceAccount,
        Event,
        Lease,
        Ingress,
        IngressClass,
        NetworkPolicy,
        ServiceCIDR,
        IPAddress,
    )
}


def document(kind: type[Document], fields: Fields, default_namespace: str) -> Document:
    """Read one; `from_client` adds what its manifest says."""
    return kind(meta(fields, default_namespace if kind.namespaced else ""))
