"""A real cluster's objects, as kubectl prints them -> a topology with stand-in pods.

What a lab cannot have is left out or replaced, and named: the second thing that `topology_of` returns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testbed.errors import UsageError
from testbed.model.dump_networks import Networks, is_dns, networks_of
from testbed.model.dump_pods import StandIn, finished, is_ready, stand_in
from testbed.model.objects.endpoint_slices import SERVICE_NAME_LABEL
from testbed.model.objects.nodes import HOSTNAME_LABEL, ZONE_LABEL
from testbed.model.objects.pods import SERVER_ANNOTATION

Json = Mapping[str, Any]

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
MANY_PODS = 200
"""From so many on one process serves for all, as in every lab that is for scale."""
SERVICE_FIELDS = (
    "type",
    "selector",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "externalName",
    "externalIPs",
    "ports",
    "sessionAffinity",
    "sessionAffinityConfig",
    "internalTrafficPolicy",
    "externalTrafficPolicy",
    "loadBalancerSourceRanges",
    "healthCheckNodePort",
    "allocateLoadBalancerNodePorts",
    "publishNotReadyAddresses",
    "trafficDistribution",
)
PORT_FIELDS = ("name", "protocol", "port", "targetPort", "nodePort")
LONGEST_NAME = 63
"""RFC 1123, as in Kubernetes."""
KINDS = ("Node", "Pod", "Service", "EndpointSlice")


@dataclass(slots=True)
class Notes:
    """What a lab cannot have and what became of it -> the objects that this is true of."""

    of: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, what: str, name: str) -> None:
        """`what` is true of the object called `name`."""
        self.of[what].append(name)

    def lines(self, most: int = 6) -> list[str]:
        """A line a sentence, with the objects' names, or how many more there are."""
        return [
            f"{what}: {', '.join(names[:most])}"
            + f" and {len(names) - most} more" * (len(names) > most)
            for what, names in self.of.items()
        ]


def objects_of(documents: Iterable[Any]) -> list[Json]:
    """The objects of what kubectl printed: Lists are opened. Raises UsageError for what is no object."""
    found: list[Json] = []
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, Mapping) or "kind" not in document:
            raise UsageError("this is no output of kubectl get", "add -o yaml or -o json")
        items = document.get("items")
        if isinstance(items, list):
            kind = str(document["kind"]).removesuffix("List")
            found += [{"kind": kind, **item} if kind else item for item in items]
        else:
            found.append(document)
    return found


def topology_of(objects: Sequence[Json], name: str) -> tuple[dict[str, Any], list[str]]:
    """The topology's keys and values, and what could not be taken over, a line each.

    Raises UsageError where there is nothing to make a lab of.
    """
    notes = Notes()
    kinds: dict[str, list[Json]] = defaultdict(list)
    for item in objects:
        kinds[str(item["kind"])].append(item)
    for kind in sorted(set(kinds) - set(KINDS)):
        for item in kinds[kind]:
            notes.add(f"objects of kind {kind}: left out", full_name(item))
    if not kinds["Node"]:
        raise UsageError(
            "no node is in there", "kubectl get nodes,pods,services,endpointslices -A -o yaml"
        )
    names = {item["metadata"]["name"]: _node_name(item, notes) for item in kinds["Node"]}
    nodes = {names[item["metadata"]["name"]]: _node(item, notes) for item in kinds["Node"]}
    services = [item for item in kinds["Service"] if not _is_ours(item, notes)]
    stand_ins = _stand_ins(kinds["Pod"], services, names, notes)
    networks = networks_of(kinds["Node"], stand_ins, kinds["Service"], len(nodes))
    for line in networks.notes:
        notes.add(*line)
    topology: dict[str, Any] = {
        "name": name,
        "network": networks.written,
        "dns": {"replicas": _dns_replicas(kinds["Pod"], kinds["Service"])},
        "nodes": nodes,
        "manifests": [
            *(_pod(one, len(stand_ins) >= MANY_PODS) for one in stand_ins),
            *(_service(item, networks, notes) for item in services),
            *_own_slices(kinds["EndpointSlice"], kinds["Pod"], services, notes),
        ],
    }
    return topology, notes.lines()


def full_name(item: Json) -> str:
    """namespace/name, or the name of what has no namespace."""
    meta = item["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else str(meta["name"])


# Nodes


def _node_name(item: Json, notes: Notes) -> str:
    """As the lab can have it: a label of a domain name, not a whole one."""
    real = str(item["metadata"]["name"])
    name = real.replace(".", "-")[:LONGEST_NAME].strip("-")
    if name != real:
        notes.add("nodes whose names have dots, or are long: in the lab with dashes, cut", real)
    return name


def _node(item: Json, notes: Notes) -> dict[str, Any]:
    labels = dict(item["metadata"].get("labels", {}))
    labels.pop(HOSTNAME_LABEL, None)
    zone = labels.pop(ZONE_LABEL, "")
    conditions = {
        one["type"]: one["status"] for one in item.get("status", {}).get("conditions", [])
    }
    if conditions.get("Ready", "True") != "True":
        notes.add("nodes that are not ready: in the lab they are", full_name(item))
    spec = item.get("spec", {})
    if spec.get("taints"):
        notes.add("taints: left out, pods stay where they are", full_name(item))
    found: dict[str, Any] = {}
    if zone:
        found["zone"] = zone
    if labels:
        found["labels"] = labels
    if spec.get("unschedulable"):
        found["unschedulable"] = True
    return found


# Pods


def _stand_ins(
    pods: Sequence[Json], services: Sequence[Json], nodes: Mapping[str, str], notes: Notes
) -> list[StandIn]:
    """A stand-in for each pod that serves or may call; `nodes`: what the lab calls each."""
    by_namespace: dict[str, list[Json]] = defaultdict(list)
    for service in services:
        if service.get("spec", {}).get("selector"):
            by_namespace[service["metadata"].get("namespace", "default")].append(service)
    found = []
    for pod in pods:
        name, spec = full_name(pod), pod.get("spec", {})
        labels = pod["metadata"].get("labels", {})
        selecting = [
            service
            for service in by_namespace[pod["metadata"].get("namespace", "default")]
            if service["spec"]["selector"].items() <= labels.items()
        ]
        if why := _left_out(pod, selecting, nodes):
            notes.add(why, name)
            continue
        if spec.get("hostNetwork"):
            notes.add(
                "pods on their node's network: in the lab each has an address of its own", name
            )
        if len(spec.get("containers", ())) > 1:
            notes.add("pods of several containers: one server answers on all their ports", name)
        if not is_ready(pod):
            notes.add("pods that are not ready: their stand-ins never become ready", name)
        found.append(stand_in(pod, nodes[spec["nodeName"]], selecting))
    return found


def _left_out(pod: Json, selecting: Sequence[Json], nodes: Collection[str]) -> str:
    """Why a pod has no stand-in; "" where it has one."""
    spec = pod.get("spec", {})
    node = spec.get("nodeName")
    reasons = {
        "pods that have ended": finished(pod),
        "pods that are terminating": pod["metadata"].get("deletionTimestamp"),
        "pods that are on no node yet": not node,
        "pods on nodes that are not in the dump": node not in nodes,
        "pods of the cluster's DNS, which the lab has of its own": is_dns(pod),
        "pods on their node's network behind no service": spec.get("hostNetwork") and not selecting,
    }
    return next((f"{reason}: left out" for reason, holds in reasons.items() if holds), "")


def _pod(one: StandIn, shared: bool) -> dict[str, Any]:
    if not shared:
        return one.manifest
    meta = one.manifest["metadata"]
    annotations = {**meta.get("annotations", {}), SERVER_ANNOTATION: "shared"}
    return {**one.manifest, "metadata": {**meta, "annotations": annotations}}


def _dns_replicas(pods: Sequence[Json], services: Sequence[Json]) -> int:
    """As many as the cluster has; none where it has no DNS service."""
    return max(1, sum(map(is_dns, pods))) if any(map(is_dns, services)) else 0


# Services and their slices


def _is_ours(service: Json, notes: Notes) -> bool:
    """Whether the lab brings this one itself, or cannot have anybody behind it."""
    if is_dns(service):
        return True
    if full_name(service) == "default/kubernetes":
        notes.add("leads to the API server, which is not in the lab: left out", full_name(service))
        return True
    return False


def _service(item: Json, networks: Networks, notes: Notes) -> dict[str, Any]:
    spec = {key: value for key, value in item["spec"].items() if key in SERVICE_FIELDS}
    for key in sorted(set(item["spec"]) - set(SERVICE_FIELDS)):
        notes.add(f"{key} of services, which does nothing here: left out", full_name(item))
    if "ports" in spec:
        spec["ports"] = [
            {key: port[key] for key in PORT_FIELDS if key in port} for port in spec["ports"]
        ]
    lost = [ip for ip in spec.get("clusterIPs", ()) if ip != "None" and not networks.serve(ip)]
    if lost:
        notes.add("cluster addresses outside of the service range: new ones", full_name(item))
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
    families = {"IPv4": 4, "IPv6": 6}
    if any(families[one] not in networks.families for one in spec.get("ipFamilies", ())):
        notes.add("services of an IP family that no pod has: the other one", full_name(item))
        for key in ("ipFamilies", "ipFamilyPolicy", "clusterIP", "clusterIPs"):
            spec.pop(key, None)
    found = {"apiVersion": "v1", "kind": "Service", "metadata": _meta(item), "spec": spec}
    if ingress := item.get("status", {}).get("loadBalancer", {}).get("ingress"):
        kept = [
            {key: one[key] for key in ("ip", "hostname", "ipMode") if key in one} for one in ingress
        ]
        found["status"] = {"loadBalancer": {"ingress": kept}}
    return found


def _own_slices(
    slices: Sequence[Json], pods: Sequence[Json], services: Sequence[Json], notes: Notes
) -> Iterable[dict[str, Any]]:
    """The slices that no controller makes again."""
    addresses = {one.get("ip") for pod in pods for one in pod.get("status", {}).get("podIPs", ())}
    known = {full_name(service) for service in services}
    for item in slices:
        meta = item["metadata"]
        labels = meta.get("labels", {})
        service = f"{meta.get('namespace', 'default')}/{labels.get(SERVICE_NAME_LABEL, '')}"
        if labels.get(MANAGED_BY) == CONTROLLER or service not in known:
            continue
        if any(ip in addresses for one in item.get("endpoints") or () for ip in one["addresses"]):
            notes.add(
                "endpoint slices of pods' addresses, which are others in the lab: left out",
                full_name(item),
            )
            continue
        notes.add(
            "endpoint slices that lead out of the cluster, where nobody answers in the lab",
            full_name(item),
        )
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": _meta(item),
            "addressType": item.get("addressType", "IPv4"),
            "endpoints": [
                {key: one[key] for key in ("addresses", "conditions") if key in one}
                for one in item.get("endpoints") or ()
            ],
            "ports": [
                {key: port[key] for key in ("name", "protocol", "port") if port.get(key)}
                for port in item.get("ports") or ()
            ],
        }


def _meta(item: Json) -> dict[str, Any]:
    meta = item["metadata"]
    found = {"name": meta["name"], "namespace": meta.get("namespace", "default")}
    return {**found, "labels": dict(meta["labels"])} if meta.get("labels") else found
