"""What the API server adds to, or has against, an object that is fine by itself: Kubernetes' admission.

Source: NamespaceLifecycle, ServiceAccount, DefaultIngressClass, DefaultTolerationSeconds, and the warnings of
`pkg/api/service` and `pkg/apis/networking`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil
from typing import Any

from testbed.apiserver.failure import Cause, forbidden, not_found
from testbed.apiserver.resources import Json, Resource, of_kind
from testbed.apiserver.validation.pod_warnings import pod_warnings, template_warnings
from testbed.edge.ingress_objects import CLASS_ANNOTATION, default_class
from testbed.model.documents import IngressClass, Namespace, ServiceAccount
from testbed.store import Snapshot

NAME_LABEL = "kubernetes.io/metadata.name"
DEFAULT_ACCOUNT = "default"
_NODE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def check_namespace(resource: Resource, namespace: str, name: str, snapshot: Snapshot) -> None:
    """Raises ApiFailure: 404 where there is no such namespace, 403 where it is about to go."""
    if not resource.namespaced:
        return
    found = snapshot.get(Namespace, "", namespace)
    if found is None:
        raise not_found(of_kind("Namespace"), namespace)
    if found.meta.deletion_s is not None:
        cause = Cause(
            "NamespaceTerminating",
            f"namespace {namespace} is being terminated",
            "metadata.namespace",
        )
        why = (
            f"unable to create new content in namespace {namespace} because it is being terminated"
        )
        raise forbidden(resource, name, why, [cause])


def completed(document: Json, snapshot: Snapshot, toleration_s: float, *, is_new: bool) -> Json:
    """The object with what admission adds. Raises ApiFailure (403)."""
    kind = document["kind"]
    if kind == "Namespace":
        return _namespace(document, is_new=is_new)
    if kind == "Pod":
        return tolerant(_pod(document, snapshot) if is_new else document, toleration_s)
    if kind == "Ingress" and is_new:
        return _ingress(document, snapshot)
    return document


def _namespace(document: Json, *, is_new: bool) -> Json:
    metadata = document["metadata"]
    labels = {**(metadata.get("labels") or {}), NAME_LABEL: metadata.get("name", "")}
    document = {**document, "metadata": {**metadata, "labels": labels}}
    if is_new:
        document["spec"] = {"finalizers": ["kubernetes"]}
        document["status"] = {"phase": "Active"}
    return document


def _pod(document: Json, snapshot: Snapshot) -> Json:
    """A pod runs as some ServiceAccount; the default one may come after its namespace's first pod."""
    spec, metadata = document.get("spec") or {}, document["metadata"]
    name = spec.get("serviceAccountName") or DEFAULT_ACCOUNT
    namespace = metadata["namespace"]
    if name != DEFAULT_ACCOUNT and snapshot.get(ServiceAccount, namespace, name) is None:
        raise forbidden(
            of_kind("Pod"),
            metadata.get("name", ""),
            f"error looking up service account {namespace}/{name}: "
            f'serviceaccount "{name}" not found',
        )
    spec = {**spec, "serviceAccountName": name, "serviceAccount": name}
    return {**document, "spec": spec}


def _ingress(document: Json, snapshot: Snapshot) -> Json:
    """One that names no class is of the default one, where there is one."""
    spec = document.get("spec") or {}
    annotated = CLASS_ANNOTATION in (document["metadata"].get("annotations") or {})
    default = default_class(snapshot.list(IngressClass))
    if spec.get("ingressClassName") is not None or annotated or default is None:
        return document
    return {**document, "spec": {**spec, "ingressClassName": default}}


def tolerant(document: Json, toleration_s: float) -> Json:
    """A pod stays for a while on a node that is not ready or not reachable, unless it says otherwise."""
    spec = document.get("spec") or {}
    tolerations = list(spec.get("tolerations") or ())
    for taint in _NODE_TAINTS:
        tolerated = any(
            one.get("key", "") in {"", taint} and one.get("effect", "") in {"", "NoExecute"}
            for one in tolerations
        )
        if not tolerated:
            more = {"key": taint, "operator": "Exists", "effect": "NoExecute"}
            tolerations.append({**more, "tolerationSeconds": ceil(toleration_s)})
    return {**document, "spec": {**spec, "tolerations": tolerations}}


def warnings_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """What is accepted and does not do what one might think."""
    found = _WARNINGS.get(document["kind"])
    return tuple(found(document)) if found else ()


def _network_policy(document: Mapping[str, Any]) -> Iterator[str]:
    name = document["metadata"].get("name", "")
    yield f'NetworkPolicy "{name}" is stored, and not enforced: this cluster has no network policies'


def _service(document: Mapping[str, Any]) -> Iterator[str]:
    spec = document.get("spec") or {}
    if spec.get("type") == "ExternalName" and spec.get("externalIPs"):
        yield 'spec.externalIPs is ignored when spec.type is "ExternalName"'
    if spec.get("type") != "ExternalName" and spec.get("externalName"):
        yield 'spec.externalName is ignored when spec.type is not "ExternalName"'
    if spec.get("clusterIP") == "None":
        if spec.get("loadBalancerIP"):
            yield "spec.loadBalancerIP is ignored for headless services"
        if spec.get("externalIPs"):
            yield "spec.externalIPs is ignored for headless services"
        if spec.get("sessionAffinity", "None") != "None":
            yield "spec.SessionAffinity is ignored for headless services"
    if spec.get("trafficDistribution") == "PreferClose":
        yield 'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'


_WARNINGS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "DaemonSet": template_warnings,
    "Deployment": template_warnings,
    "NetworkPolicy": _network_policy,
    "Pod": pod_warnings,
    "ReplicaSet": template_warnings,
    "Service": _service,
}
