"""What the API serves, and where: one row per resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

READ = ("get", "list", "watch")
ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_ONE_BY_ONE = tuple(verb for verb in ALL if verb != "deletecollection")
_CHANGE = ("get", "patch", "update")
_STREAM = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")


@dataclass(frozen=True, slots=True)
class Subresource:
    """A part of an object under a path of its own. `group` and `version` are its kind's where they are not the
    resource's own.
    """

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """`stored` is the store's kind; "": nothing is stored, and all that can be done is to create one."""

    group: str
    """"" is the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL
    subresources: tuple[Subresource, ...] = ()
    stored: str = ""
    warning: str = ""
    """What whoever asks for it is told each time: that it is deprecated."""

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def group_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """Path of its group and version."""
        return f"/apis/{self.group_version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self) -> str:
        """`deployments.apps`: how messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def subresource(self, name: str) -> Subresource | None:
        """The one of that name, or None."""
        return next((one for one in self.subresources if one.name == name), None)


def _core(plural: str, kind: str, **more: Any) -> Resource:
    return Resource("", "v1", plural, kind, more.pop("namespaced", True), stored=kind, **more)


def _grouped(group: str, plural: str, kind: str, **more: Any) -> Resource:
    return Resource(group, "v1", plural, kind, more.pop("namespaced", True), stored=kind, **more)


def _apps(plural: str, kind: str, short_name: str, *subresources: Subresource) -> Resource:
    return _grouped(
        "apps",
        plural,
        kind,
        short_names=(short_name,),
        categories=("all",),
        subresources=subresources,
    )


def _networking(plural: str, kind: str, **more: Any) -> Resource:
    return _grouped("networking.k8s.io", plural, kind, **more)


def _review(group: str, plural: str, kind: str) -> Resource:
    return Resource(group, "v1", plural, kind, False, verbs=("create",))


def _status(kind: str) -> Subresource:
    return Subresource("status", kind, _CHANGE)


_SCALE = Subresource("scale", "Scale", _CHANGE, "autoscaling", "v1")
_POD = (
    Subresource("attach", "PodAttachOptions", _STREAM),
    Subresource("binding", "Binding", ("create",)),
    Subresource("eviction", "Eviction", ("create",), "policy", "v1"),
    Subresource("exec", "PodExecOptions", _STREAM),
    Subresource("log", "Pod", ("get",)),
    Subresource("portforward", "PodPortForwardOptions", _STREAM),
    Subresource("proxy", "PodProxyOptions", _PROXY),
    _status("Pod"),
)
_SERVICE = (Subresource("proxy", "ServiceProxyOptions", _PROXY), _status("Service"))
_NAMESPACE = (Subresource("finalize", "Namespace", ("update",)), _status("Namespace"))

_NO_ENDPOINTS = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"

RESOURCES = (
    _core("configmaps", "ConfigMap", short_names=("cm",)),
    _core("endpoints", "Endpoints", short_names=("ep",), warning=_NO_ENDPOINTS),
    _core("events", "Event", short_names=("ev",)),
    _core(
        "namespaces",
        "Namespace",
        namespaced=False,
        short_names=("ns",),
        verbs=_ONE_BY_ONE,
        subresources=_NAMESPACE,
    ),
    _core("nodes", "Node", namespaced=False, short_names=("no",), subresources=(_status("Node"),)),
    _core("pods", "Pod", short_names=("po",), categories=("all",), subresources=_POD),
    _core("secrets", "Secret"),
    _core("serviceaccounts", "ServiceAccount", short_names=("sa",)),
    _core("services", "Service", short_names=("svc",), categories=("all",), subresources=_SERVICE),
    _apps("daemonsets", "DaemonSet", "ds", _status("DaemonSet")),
    _apps("deployments", "Deployment", "deploy", _SCALE, _status("Deployment")),
    _apps("replicasets", "ReplicaSet", "rs", _SCALE, _status("ReplicaSet")),
    _review("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    _review("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _grouped("coordination.k8s.io", "leases", "Lease"),
    _grouped("discovery.k8s.io", "endpointslices", "EndpointSlice"),
    _grouped("events.k8s.io", "events", "Event", short_names=("ev",)),
    _networking("ingressclasses", "IngressClass", namespaced=False),
    _networking("ingresses", "Ingress", short_names=("ing",), subresources=(_status("Ingress"),)),
    _networking("ipaddresses", "IPAddress", namespaced=False, short_names=("ip",)),
    _networking("networkpolicies", "NetworkPolicy", short_names=("netpol",)),
    _networking(
        "servicecidrs", "ServiceCIDR", namespaced=False, subresources=(_status("ServiceCIDR"),)
    ),
)
EMPTY_GROUPS = (("policy", "v1"),)
"""Groups without resources: `kubectl drain` looks for this one before it evicts (pods/eviction)."""

BY_PATH: Mapping[tuple[str, str], Resource] = {(one.root, one.plural): one for one in RESOURCES}
"""By root and plural."""


def of_kind(kind: str) -> Resource:
    """Where objects of a kind of the store are found: the first row that serves them. Raises KeyError."""
    return _OF_KIND[kind]


_OF_KIND: dict[str, Resource] = {one.stored: one for one in reversed(RESOURCES) if one.stored}
