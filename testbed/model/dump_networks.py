"""Which networks a real cluster has, from its nodes, pods and services, as a topology writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from testbed.ip import FAMILY_NAMES, IPNetwork
from testbed.model.addressing import DNS_INDEX, pod_prefix, pods_per_node
from testbed.model.dump_pods import StandIn
from testbed.model.networks import NODE_CIDR, POD_CIDR, SERVICE_CIDR

Json = Mapping[str, Any]

_SPARE_NODES = {4: ("172.18.0.0/16", "192.168.0.0/16", "100.64.0.0/16"), 6: ("fd00:172:18::/64",)}
_SMALLEST = {4: 24, 6: 120}
_GROW = {4: 8, 6: 32}
"""The largest network that a topology takes."""


@dataclass(frozen=True, slots=True)
class Networks:
    """`written` as under `network:`; `notes` are pairs (sentence, of what)."""

    written: dict[str, str]
    services: tuple[IPNetwork, ...]
    families: tuple[int, ...]
    notes: tuple[tuple[str, str], ...]

    def serve(self, ip: str) -> bool:
        """Whether an address is in a service range."""
        return any(ip_address(ip) in network for network in self.services)


def networks_of(
    nodes: Sequence[Json], pods: Sequence[StandIn], services: Sequence[Json], count: int
) -> Networks:
    """The cluster's networks, or the nearest that a lab can have."""
    ranges = [
        ip_network(cidr)
        for node in nodes
        for cidr in node.get("spec", {}).get("podCIDRs")
        or filter(None, [node.get("spec", {}).get("podCIDR")])
    ]
    cluster_ips = [
        ip
        for service in services
        for ip in service.get("spec", {}).get("clusterIPs")
        or [service.get("spec", {}).get("clusterIP", "")]
        if ip not in {"", "None", None}
    ]
    families = _families(ranges, pods, cluster_ips)
    most = _most_on_a_node(pods)
    notes: list[tuple[str, str]] = []
    pod_networks, service_networks, node_networks = [], [], []
    for family in families:
        own = [network for network in ranges if network.version == family]
        addresses = [ip for pod in pods for ip in pod.ips if _version(ip) == family]
        foreign = [ip for ip in addresses if own and not any(ip_address(ip) in net for net in own)]
        if foreign:
            notes.append(
                (
                    "the pod network is not what the nodes' podCIDR says, but what holds the pods",
                    FAMILY_NAMES[family],
                )
            )
        base = [ip_network(ip) for ip in addresses] if foreign or not own else own
        pod_networks.append(_pods(base, family, count, most, notes))
        mine = [ip for ip in cluster_ips if _version(ip) == family]
        service_networks.append(_services(mine, family))
        node_networks.append(_nodes(family, pod_networks[-1], service_networks[-1]))
    notes.append(("other addresses than in the cluster", "nodes, pods"))
    dns = next((ip for service in services if is_dns(service) for ip in _cluster_ips(service)), "")
    if dns and not any(str(network[DNS_INDEX]) == dns for network in service_networks):
        notes.append(
            (
                "the DNS service has another address than in the cluster",
                f"{service_networks[0][DNS_INDEX]}",
            )
        )
    written = {
        "podCIDR": ",".join(map(str, pod_networks)),
        "serviceCIDR": ",".join(map(str, service_networks)),
        "nodeCIDR": ",".join(map(str, node_networks)),
    }
    return Networks(written, tuple(service_networks), families, tuple(notes))


def is_dns(item: Json) -> bool:
    """Whether a service or a pod is the cluster's DNS: kubeadm, kind, EKS, GKE and AKS label it so."""
    return bool(item["metadata"].get("labels", {}).get("k8s-app") == "kube-dns")


def _cluster_ips(service: Json) -> list[str]:
    spec = service.get("spec", {})
    return list(spec.get("clusterIPs") or [spec.get("clusterIP", "")])


def _version(ip: str) -> int:
    return 6 if ":" in ip else 4


def _families(
    ranges: Iterable[IPNetwork], pods: Iterable[StandIn], cluster_ips: Iterable[str]
) -> tuple[int, ...]:
    """Of the pods' addresses, in their order; of the nodes' ranges or the services where there are none."""
    found = [_version(ip) for pod in pods for ip in pod.ips]
    found = found or [network.version for network in ranges]
    found = found or [_version(ip) for ip in cluster_ips] or [4]
    return tuple(dict.fromkeys(found))


def _most_on_a_node(pods: Sequence[StandIn]) -> int:
    counts: dict[str, int] = {}
    for pod in pods:
        node = pod.manifest["spec"]["nodeName"]
        counts[node] = counts.get(node, 0) + 1
    return max(counts.values(), default=0)


def _around(networks: Sequence[IPNetwork]) -> IPNetwork:
    """The smallest network that holds them all."""
    low = min(network[0] for network in networks)
    high = max(network[-1] for network in networks)
    found: IPNetwork = ip_network(low)
    while high not in found:
        found = found.supernet()
    return found


def _pods(
    base: Sequence[IPNetwork], family: int, count: int, most: int, notes: list[tuple[str, str]]
) -> IPNetwork:
    """As large as the cluster's, and large enough for as many nodes with as many pods."""
    found = _around(base) if base else POD_CIDR[family]
    while not _holds(found, count, most) and found.prefixlen > _GROW[family]:
        found = found.supernet()
    if not _holds(found, count, most):
        notes.append(("the pod network is too scattered to keep, the lab has another", str(found)))
        return POD_CIDR[family]
    return found


def _holds(network: IPNetwork, count: int, most: int) -> bool:
    prefix = network.prefixlen + max(count - 1, 0).bit_length()
    if prefix > network.max_prefixlen - 3:
        return False
    return pods_per_node(pod_prefix(network, count), network.version) >= most


def _services(cluster_ips: Sequence[str], family: int) -> IPNetwork:
    """What holds all cluster addresses and begins where Kubernetes' own service says it does."""
    if not cluster_ips:
        return SERVICE_CIDR[family]
    found = _around([ip_network(ip) for ip in cluster_ips])
    while found.prefixlen > _SMALLEST[family]:
        found = found.supernet()
    return found


def _nodes(family: int, *taken: IPNetwork) -> IPNetwork:
    """The default, or one that is free."""
    spare = [NODE_CIDR[family], *map(ip_network, _SPARE_NODES[family])]
    return next(
        (one for one in spare if not any(one.overlaps(other) for other in taken)), NODE_CIDR[family]
    )
