"""Who plays which part in a trial, read from `inspect`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from testbed.errors import UsageError
from testbed.ip import family_of, host_port
from testbed.model.ingress_objects import NAMESPACE as INGRESS_NAMESPACE

SYSTEM_NAMESPACE = "kube-system"
_ASIDE = (SYSTEM_NAMESPACE, INGRESS_NAMESPACE)
"""Namespaces whose services and pods play no part."""
HEADLESS = "None"


@dataclass(frozen=True, slots=True)
class PodRef:
    """A pod by name, with its address and node. `name` is what WHERE takes."""

    name: str
    ip: str
    node: str
    uid: str = ""
    ips: tuple[str, ...] = ()
    """Its address in each IP family; `ip` is the first, or that of the family that it is dialled in."""

    def in_family(self, family: int) -> PodRef:
        """The pod by its address of that family."""
        return replace(self, ip=next(ip for ip in self.ips if family_of(ip) == family))


@dataclass(frozen=True, slots=True)
class Subject:
    """The service under test, the pods behind it, and on each node the pods that may call it: all by their
    addresses in the IP family of `cluster_ip`, which is the one that they talk in.

    `controls[i]` is on the node of `clients[i]`: another pod where there is one. From one address, a
    control would now and then take a port that a backend still remembers from a service connection.
    """

    service: str
    cluster_ip: str
    port: int
    target_port: int
    backends: tuple[PodRef, ...]
    clients: tuple[PodRef, ...]
    controls: tuple[PodRef, ...]

    def url(self, path: str = "/hostname") -> str:
        """The service by its address: names are another experiment's question."""
        return f"http://{host_port(self.cluster_ip, self.port)}{path}"

    def direct_url(self, backend: PodRef, path: str = "/hostname") -> str:
        """One backend without the service in between: the control."""
        return f"http://{host_port(backend.ip, self.target_port)}{path}"

    def control_for(self, client: PodRef) -> PodRef:
        """The backend that a client's control dials: on another node where there is one."""
        elsewhere = [pod for pod in self.backends if pod.node != client.node]
        return (elsewhere or list(self.backends))[0]


def pods_of(view: Mapping[str, Any]) -> dict[str, PodRef]:
    """Every pod that runs and has an address, by the name that WHERE takes."""
    found = {}
    for pod in view["pods"]:
        if pod.get("ip") and not pod.get("fake"):
            name = where(pod["namespace"], pod["name"])
            ips = tuple(pod.get("ips") or [pod["ip"]])
            found[name] = PodRef(name, ips[0], pod.get("node", ""), pod.get("uid", ""), ips)
    return found


def live_nodes(view: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The nodes that run, of `inspect`'s."""
    return [node for node in view["nodes"] if not (node.get("fake") or node.get("stopped"))]


def where(namespace: str, name: str) -> str:
    """A pod as WHERE spells it: the namespace is left out for `default`."""
    return name if namespace in {"", "default"} else f"{namespace}/{name}"


def subject_of(view: Mapping[str, Any]) -> Subject:
    """The first service outside kube-system that has pods behind it; clients in the order of nodes.

    Raises UsageError where the lab has no such service, or no pod beside its backends.
    """
    pods = pods_of(view)
    for service in view["services"]:
        endpoints = service.get("endpoints") or []
        if service["namespace"] in _ASIDE or not endpoints or not service["ports"]:
            continue
        if service["clusterIP"] == HEADLESS:
            continue  # there is no address to dial
        behind = {endpoint["ip"] for endpoint in endpoints}
        backends = tuple(pod for pod in pods.values() if behind.intersection(pod.ips))
        if not backends:
            continue  # endpoints written by hand, with no pod behind them
        callers = [
            pod
            for name, pod in sorted(pods.items())
            if not behind.intersection(pod.ips) and name.partition("/")[0] not in _ASIDE
        ]
        clients = {pod.node: pod for pod in reversed(callers)}
        controls = {pod.node: pod for pod in callers}
        if not clients:
            raise UsageError("the topology has no pod that could call the service")
        family = family_of(service["clusterIP"])
        return Subject(
            service=where(service["namespace"], service["name"]),
            cluster_ip=service["clusterIP"],
            port=service["ports"][0]["port"],
            target_port=endpoints[0]["port"],
            backends=tuple(
                pod.in_family(family) for pod in sorted(backends, key=lambda pod: pod.name)
            ),
            clients=tuple(clients[node].in_family(family) for node in sorted(clients)),
            controls=tuple(controls[node].in_family(family) for node in sorted(clients)),
        )
    raise UsageError("the topology has no service with endpoints", "give it a workload and service")


def node_of(view: Mapping[str, Any], place: str) -> str:
    """The node of a pod, a node itself; "" for a host outside the cluster."""
    if any(node["name"] == place for node in view["nodes"]):
        return place
    pod = pods_of(view).get(place.removeprefix("default/"))
    return pod.node if pod else ""
