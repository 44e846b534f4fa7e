"""The columns of `kubectl get`, kind by kind: their definitions, and an object's cells.

Source: Kubernetes' `pkg/printers/internalversion/printers.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.apiserver import cells, pod_cells
from testbed.apiserver.resources import Json


@dataclass(frozen=True, slots=True)
class Column:
    """`priority` 1: only `-o wide` shows it."""

    name: str
    description: str
    type: str = "string"
    priority: int = 0

    @property
    def format(self) -> str:
        """`name`: clients take the object's name from here."""
        return "name" if self.name == "Name" else ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Of one kind. `cells` makes those of an object at a time (s of the Unix epoch), in the columns' order."""

    columns: tuple[Column, ...]
    cells: Callable[[Json, float], list[Any]]


def _column(spelled: str) -> Column:
    """`Name: description`; behind the name `#` for an integer, `+` for `-o wide` only."""
    name, _, description = spelled.partition(": ")
    plain = name.rstrip("#+")
    marks = name[len(plain) :]
    kind = "integer" if "#" in marks else "string"
    return Column(plain, description, kind, int("+" in marks))


def _columns(make: Callable[[Json, float], list[Any]], *spelled: str) -> Columns:
    return Columns(tuple(map(_column, spelled)), make)


_NAME = "Name: the object's name, which is unique among those of its kind and namespace"
_AGE = "Age: how long ago the object was made"
_TEMPLATE = (
    "Containers+: names of the containers in the template",
    "Images+: images of the containers in the template",
    "Selector+: labels of the pods that belong to it",
)

KINDS: Mapping[str, Columns] = {
    "Pod": _columns(
        pod_cells.pod,
        _NAME,
        "Ready: containers that are ready, of all that it has",
        "Status: what it is doing, or why it is not",
        "Restarts: how often its containers were started again",
        _AGE,
        "IP+: its address",
        "Node+: where it runs",
        "Nominated Node+: where it may run once others have made room",
        "Readiness Gates+: conditions that must hold beside its containers', and how many do",
    ),
    "Node": _columns(
        cells.node,
        _NAME,
        "Status: whether it is ready, and takes pods",
        "Roles: from its labels",
        _AGE,
        "Version: of its kubelet",
        "Internal-IP+: its address in the cluster",
        "External-IP+: its address outside",
        "OS-Image+: what it runs",
        "Kernel-Version+: of its kernel",
        "Container-Runtime+: what runs its containers",
    ),
    "Namespace": _columns(cells.namespace, _NAME, "Status: Active or Terminating", _AGE),
    "Service": _columns(
        cells.service,
        _NAME,
        "Type: ClusterIP, NodePort, LoadBalancer or ExternalName",
        "Cluster-IP: its address in the cluster",
        "External-IP: its addresses outside",
        "Port(s): its ports, with their node ports",
        _AGE,
        "Selector+: labels of the pods behind it",
    ),
    "Endpoints": _columns(cells.endpoints, _NAME, "Endpoints: addresses that are ready", _AGE),
    "EndpointSlice": _columns(
        cells.endpoint_slice,
        _NAME,
        "AddressType: IPv4, IPv6 or FQDN",
        "Ports: of its endpoints",
        "Endpoints: their addresses",
        _AGE,
    ),
    "Deployment": _columns(
        cells.deployment,
        _NAME,
        "Ready: pods that are ready, of those that are wanted",
        "Up-to-date: pods of the latest template",
        "Available: pods that have been ready for long enough",
        _AGE,
        *_TEMPLATE,
    ),
    "ReplicaSet": _columns(
        cells.replica_set,
        _NAME,
        "Desired#: pods that are wanted",
        "Current#: pods that there are",
        "Ready#: pods that are ready",
        _AGE,
        *_TEMPLATE,
    ),
    "DaemonSet": _columns(
        cells.daemon_set,
        _NAME,
        "Desired#: nodes that should run it",
        "Current#: nodes that should, and do",
        "Ready#: of these, with a pod that is ready",
        "Up-to-date#: of these, with a pod of the latest template",
        "Available#: of these, with a pod that has been ready for long enough",
        "Node Selector: labels of the nodes that should run it",
        _AGE,
        *_TEMPLATE,
    ),
    "ConfigMap": _columns(cells.config_map, _NAME, "Data#: how many entries it has", _AGE),
    "Secret": _columns(
        cells.secret, _NAME, "Type: what it is for", "Data#: how many entries it has", _AGE
    ),
    "ServiceAccount": _columns(
        cells.service_account, _NAME, "Secrets#: how many pods of it may use", _AGE
    ),
    "Event": _columns(
        cells.event,
        "Last Seen: how long ago it last happened",
        "Type: Normal or Warning",
        "Reason: what happened, in a word",
        "Object: to what it happened",
        "Subobject+: to which part of it",
        "Source+: who says so",
        "Message: what happened",
        "First Seen+: how long ago it first happened",
        "Count+: how often it has happened",
        "Name+: the event's own",
    ),
    "Lease": _columns(cells.lease, _NAME, "Holder: who has it", _AGE),
    "Ingress": _columns(
        cells.ingress,
        _NAME,
        "Class: who is to see to it",
        "Hosts: whose requests it routes",
        "Address: where it is served",
        "Ports: 443 too where it has certificates",
        _AGE,
    ),
    "IngressClass": _columns(
        cells.ingress_class,
        _NAME,
        "Controller: who sees to its ingresses",
        "Parameters: what tells the controller more",
        _AGE,
    ),
    "NetworkPolicy": _columns(
        cells.network_policy, _NAME, "Pod-Selector: labels of the pods that it is for", _AGE
    ),
    "ServiceCIDR": _columns(
        cells.service_cidr, _NAME, "CIDRs: ranges that services get addresses of", _AGE
    ),
    "IPAddress": _columns(cells.ip_address, _NAME, "ParentRef: who has it", _AGE),
}
