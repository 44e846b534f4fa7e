"""What a cluster is born with, and every namespace: the writes that make up for what of it is missing.

Source: kube-apiserver's controllers of the `kubernetes` service, system namespaces and the default ServiceCIDR;
kube-controller-manager's of ServiceAccounts and the root certificate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from testbed.ip import FAMILY_NAMES, IPNetwork, family_of
from testbed.model.documents import (
    SYSTEM_NAMESPACES,
    ConfigMap,
    Endpoints,
    Namespace,
    ServiceAccount,
    ServiceCIDR,
)
from testbed.model.manifest import from_client
from testbed.model.objects.endpoint_slices import SERVICE_NAME_LABEL, EndpointSlice
from testbed.model.objects.metadata import Object
from testbed.model.objects.services import Service
from testbed.store import Create, Snapshot, Write

SERVICE = ("default", "kubernetes")
PORT = 6443
"""Where the API server listens, kubeadm's default."""
ROOT_CA = "kube-root-ca.crt"
KINDS = frozenset(
    kind.kind
    for kind in (
        Namespace,
        ServiceAccount,
        ConfigMap,
        ServiceCIDR,
        Service,
        Endpoints,
        EndpointSlice,
    )
)
"""Of the objects that are seen to here."""
_CA_NOTE = "Contains a CA bundle that can be used to verify the kube-apiserver."


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the objects say of the cluster; addresses have the primary IP family first."""

    service_cidrs: tuple[str, ...]
    service_ip: str
    """Of the service `kubernetes`: see `service_ip`."""
    api_ip: str
    """Where the API server listens, in the same IP family."""
    ca_pem: str


def service_ip(services: IPNetwork, snapshot: Snapshot) -> str:
    """The service's: the first of the range, or the next one where a topology has given that to another."""
    taken = {
        ip
        for service in snapshot.list(Service)
        if (service.meta.namespace, service.meta.name) != SERVICE
        for ip in service.cluster_ips
    }
    return next(str(ip) for ip in services.hosts() if str(ip) not in taken)


def missing(snapshot: Snapshot, cluster: Cluster, used: Iterable[str]) -> list[Write]:
    """Creates whatever is not there. `used` are namespaces that objects are in, declared or not."""
    writes: list[Write] = []

    def want(kind: type[Object], namespace: str, manifest: dict[str, Any]) -> None:
        name = manifest["metadata"]["name"]
        if snapshot.get(kind, namespace, name) is None:
            head = {"name": name, **({"namespace": namespace} if namespace else {})}
            metadata = {**manifest["metadata"], **head}
            writes.append(Create(from_client({**manifest, "metadata": metadata})))

    for name in sorted({*SYSTEM_NAMESPACES, *used}):
        want(Namespace, "", _namespace(name))
    want(ServiceCIDR, "", _service_cidr(cluster))
    for kind, manifest in _kubernetes(cluster):
        want(kind, SERVICE[0], manifest)
    ending = {
        item.meta.name for item in snapshot.list(Namespace) if item.meta.deletion_s is not None
    }
    there = {item.meta.name for item in snapshot.list(Namespace)}
    for name in sorted({*SYSTEM_NAMESPACES, *used, *there} - ending):
        want(ServiceAccount, name, _named("v1", "ServiceAccount", "default"))
        want(ConfigMap, name, _root_ca(cluster))
    return writes


def _named(api_version: str, kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}}


def _namespace(name: str) -> dict[str, Any]:
    return {
        **_named("v1", "Namespace", name, labels={"kubernetes.io/metadata.name": name}),
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _root_ca(cluster: Cluster) -> dict[str, Any]:
    annotations = {"kubernetes.io/description": _CA_NOTE}
    head = _named("v1", "ConfigMap", ROOT_CA, annotations=annotations)
    return {**head, "data": {"ca.crt": cluster.ca_pem}}


def _service_cidr(cluster: Cluster) -> dict[str, Any]:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
    }
    return {
        **_named("networking.k8s.io/v1", "ServiceCIDR", SERVICE[1]),
        "spec": {"cidrs": list(cluster.service_cidrs)},
        "status": {"conditions": [ready]},
    }


def _kubernetes(cluster: Cluster) -> Iterator[tuple[type[Object], dict[str, Any]]]:
    """The service by which pods reach the API, with its endpoint, which is no pod's."""
    name = SERVICE[1]
    labels = {"component": "apiserver", "provider": "kubernetes"}
    family = FAMILY_NAMES[family_of(cluster.service_ip)]
    service = {
        "type": "ClusterIP",
        "clusterIP": cluster.service_ip,
        "clusterIPs": [cluster.service_ip],
        "ipFamilies": [family],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": PORT}],
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
    }
    yield Service, {**_named("v1", "Service", name, labels=labels), "spec": service}
    ports = [{"name": "https", "port": PORT, "protocol": "TCP"}]
    slice_labels = {SERVICE_NAME_LABEL: name}
    yield (
        EndpointSlice,
        {
            **_named("discovery.k8s.io/v1", "EndpointSlice", name, labels=slice_labels),
            "addressType": family,
            "endpoints": [{"addresses": [cluster.api_ip], "conditions": {"ready": True}}],
            "ports": ports,
        },
    )
    # Its slice is written by the API server itself, not mirrored from here.
    no_mirror = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    yield (
        Endpoints,
        {
            **_named("v1", "Endpoints", name, labels=no_mirror),
            "subsets": [{"addresses": [{"ip": cluster.api_ip}], "ports": ports}],
        },
    )
