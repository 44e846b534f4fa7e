"""The JSON of `inspect`, from a snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from testbed.dns.outside import hostnames
from testbed.edge.ingress_view import ingresses
from testbed.model.fakes import is_fake
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.store import Snapshot


def inspect(
    snapshot: Snapshot, stopped: Collection[str] = (), cut_off: Collection[str] = ()
) -> dict[str, Any]:
    """nodes, pods, services and ingresses as DESIGN's `inspect` has them, each ordered by name. `stopped`:
    the nodes without power; `cut_off`: those that do not reach the control plane.
    """
    slices = snapshot.slices_by_service()
    fake = fake_nodes(snapshot)
    return {
        "nodes": [
            {
                **_node(node),
                "stopped": node.meta.name in stopped,
                "cutOff": node.meta.name in cut_off,
            }
            for node in sorted(snapshot.list(Node), key=_by_name)
        ],
        "pods": [
            {**_pod(pod), "fake": pod.spec.node_name in fake}
            for pod in sorted(snapshot.list(Pod), key=_by_name)
        ],
        "services": [
            _service(service, slices.get((service.meta.namespace, service.meta.name), ()))
            for service in sorted(snapshot.list(Service), key=_by_name)
        ],
        "ingresses": ingresses(snapshot),
    }


def numbers(snapshot: Snapshot) -> dict[str, int]:
    """How many nodes and pods there are, and how many of them are fake."""
    fake = fake_nodes(snapshot)
    pods = Counter(pod.spec.node_name in fake for pod in snapshot.list(Pod))
    return {
        "nodes": len(snapshot.of(Node)),
        "pods": pods.total(),
        "fakeNodes": len(fake),
        "fakePods": pods[True],
    }


def fake_nodes(snapshot: Snapshot) -> frozenset[str]:
    """Names of the nodes that exist only as objects, and all their pods with them."""
    return frozenset(node.meta.name for node in snapshot.list(Node) if is_fake(node))


def _by_name(item: Node | Pod | Service) -> tuple[str, str]:
    return item.meta.namespace, item.meta.name


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.meta.name,
        "addresses": list(node.internal_ips),
        "podCIDR": node.pod_cidr,
        "podCIDRs": list(node.pod_cidrs),
        "ready": node.ready,
        "fake": is_fake(node),
    }


def _pod(pod: Pod) -> dict[str, Any]:
    return {
        "namespace": pod.meta.namespace,
        "name": pod.meta.name,
        "uid": pod.meta.uid,
        "node": pod.spec.node_name,
        "ip": pod.status.pod_ip,
        "ips": list(pod.status.pod_ips),
        "phase": "Terminating" if pod.meta.deletion_s is not None else pod.status.phase,
        "ready": pod.status.ready,
        "restarts": sum(status.restart_count for status in pod.status.containers),
        "reason": pod.status.reason,
    }


def _service(service: Service, slices: tuple[EndpointSlice, ...]) -> dict[str, Any]:
    return {
        "namespace": service.meta.namespace,
        "name": service.meta.name,
        "type": service.type,
        "clusterIP": service.cluster_ip,
        "clusterIPs": list(service.cluster_ips),
        "externalIPs": list(service.external_ips),
        "loadBalancerIPs": [one.ip for one in service.load_balancer_ingress if one.ip],
        "loadBalancer": [one.ip or one.hostname for one in service.load_balancer_ingress],
        "externalName": service.external_name,
        "hostnames": list(hostnames(service)),
        "ports": [
            {
                "name": port.name,
                "protocol": port.protocol,
                "port": port.port,
                "targetPort": port.target_port or port.port,
                "nodePort": port.node_port or None,
            }
            for port in service.ports
        ],
        "endpoints": [row for item in slices for row in _endpoints(item)],
    }


def _endpoints(item: EndpointSlice) -> Iterator[dict[str, Any]]:
    for endpoint in item.endpoints:
        for port in item.ports:
            yield {
                "ip": endpoint.addresses[0],
                "port": port.port,
                "portName": port.name,
                "protocol": port.protocol,
                "pod": endpoint.target.name if endpoint.target else None,
                "node": endpoint.node_name,
                "ready": endpoint.ready,
            }
