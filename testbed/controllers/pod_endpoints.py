"""A pod behind a service -> its endpoint and its ports, or nothing."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.controllers.pod_deletion import TERMINAL_PHASES
from testbed.ip import FAMILY_NAMES, family_of
from testbed.model.objects.endpoint_slices import Endpoint, EndpointPort, TargetRef
from testbed.model.objects.nodes import ZONE_LABEL, Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Key


def endpoint(
    service: Service, pod: Pod, nodes: Mapping[Key, Node], family: str = "IPv4"
) -> Endpoint | None:
    """The endpoint that `pod` is for `service` in an IP family; None while it has no such address, or once
    it has ended.

    A terminating pod stays, `serving` as long as it is ready, so that a proxy without any ready
    endpoint may fall back on it (KEP-1672). Source: k8s.io/endpointslice/utils.go, podToEndpoint.
    """
    status = pod.status
    ip = next((ip for ip in status.pod_ips if FAMILY_NAMES[family_of(ip)] == family), "")
    if not ip or status.phase in TERMINAL_PHASES:
        return None
    terminating = pod.meta.deletion_s is not None
    node = nodes.get(("", pod.spec.node_name))
    zone = node.meta.labels.get(ZONE_LABEL, "") if node else ""
    ready = service.publish_not_ready_addresses or (status.ready and not terminating)
    for_zones, for_nodes = _hints(service, zone, pod.spec.node_name) if ready else ((), ())
    return Endpoint(
        addresses=(ip,),
        ready=ready,
        serving=status.ready,
        terminating=terminating,
        node_name=pod.spec.node_name,
        zone=zone,
        hostname=_hostname(service, pod),
        target=TargetRef(pod.meta.namespace, pod.meta.name, pod.meta.uid),
        for_zones=for_zones,
        for_nodes=for_nodes,
    )


def _hostname(service: Service, pod: Pod) -> str:
    """The pod's own name under the service, where it says so: the service is its subdomain.

    Source: k8s.io/endpointslice/utils.go, ShouldSetHostname.
    """
    return pod.spec.hostname if pod.spec.subdomain == service.meta.name else ""


def _hints(service: Service, zone: str, node: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """For which zones and nodes a ready endpoint is meant; nothing where all are equal (KEP-3015).

    PreferSameNode names the zone as well, for nodes that have no endpoint of their own.
    """
    if not service.traffic_distribution:
        return (), ()
    for_zones = (zone,) if zone else ()
    return for_zones, (node,) if service.traffic_distribution == "PreferSameNode" else ()


def endpoint_ports(service: Service, pod: Pod) -> tuple[EndpointPort, ...]:
    """The ports of `service` on this pod; one whose name no container knows is left out."""
    found = []
    for port in service.ports:
        number = _number(port.target_port or port.port, port.protocol, pod)
        if number is not None:
            found.append(EndpointPort(number, port.name, port.protocol))
    return tuple(found)


def _number(target: int | str, protocol: str, pod: Pod) -> int | None:
    if isinstance(target, int):
        return target
    return next(
        (
            port.container_port
            for container in pod.spec.containers
            for port in container.ports
            if port.name == target and port.protocol == protocol
        ),
        None,
    )
