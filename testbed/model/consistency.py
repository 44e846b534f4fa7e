"""What contradicts itself in a topology whose every key is right on its own.

Paths of the mistakes are those of the YAML; positions are `model.loader`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, product

from testbed.errors import OutOfTimeOrRoom, UsageError
from testbed.ip import FAMILY_NAMES, IPV6_LEAST_MTU
from testbed.model import (
    cni_consistency,
    dns_consistency,
    fake_consistency,
    fakes,
    link_consistency,
    load_balancer_consistency,
)
from testbed.model.addressing import plan_addresses, pod_prefix, pods_per_node
from testbed.model.allocation import Taken, allocate_all, asks, conflicts
from testbed.model.fields import Mistake, Path
from testbed.model.node_affinity import matches
from testbed.model.objects.metadata import name_of, with_meta
from testbed.model.objects.nodes import Node
from testbed.model.objects.pods import Pod
from testbed.model.objects.services import Service
from testbed.model.origin import (
    Origin,
    PodGroup,
    nodes_of,
    origins,
    pod_groups,
    services_of,
)
from testbed.model.topology import Topology
from testbed.spelling import nearest


def inconsistencies(topology: Topology) -> list[Mistake]:
    """Every contradiction, in the order of the checks below."""
    found, mistakes = origins(topology)
    groups = pod_groups(found)
    mistakes.extend(_overlaps(topology))
    mistakes.extend(_families_apart(topology))
    mistakes.extend(_too_small_packets(topology))
    mistakes.extend(_names_alike(topology, found))
    mistakes.extend(fake_consistency.mistakes(topology))
    mistakes.extend(cni_consistency.mistakes(topology))
    mistakes.extend(dns_consistency.mistakes(topology))
    mistakes.extend(_containers_in_a_guest(topology))
    mistakes.extend(link_consistency.mistakes(topology))
    mistakes.extend(load_balancer_consistency.mistakes(topology))
    mistakes.extend(_pods_on_no_node(topology, nodes_of(found), groups))
    mistakes.extend(_too_many_pods(topology, nodes_of(found), groups))
    mistakes.extend(_unknown_probe_ports(groups))
    mistakes.extend(_services_of_nothing(topology, found, groups))
    mistakes.extend(_address_conflicts(topology, found))
    return mistakes


def _overlaps(topology: Topology) -> Iterator[Mistake]:
    network = topology.network
    keys = {
        "podCIDR": network.pod_cidrs,
        "serviceCIDR": network.service_cidrs,
        "nodeCIDR": network.node_cidrs,
    }
    for (first, ones), (second, others) in combinations(keys.items(), 2):
        for one, other in product(ones, others):
            if one.version == other.version and one.overlaps(other):
                message = f"{second} {other} overlaps {first} {one}"
                yield Mistake(("network", second), message, "use networks that share no address")


def _families_apart(topology: Topology) -> Iterator[Mistake]:
    """All three keys are of the same IP families, in the same order."""
    network = topology.network
    for key, networks in (("serviceCIDR", network.service_cidrs), ("nodeCIDR", network.node_cidrs)):
        families = tuple(one.version for one in networks)
        if families != network.families:
            message = f"{key} is {_in_words(families)}, podCIDR is {_in_words(network.families)}"
            hint = "write them in the same IP families and order, or leave it out"
            yield Mistake(("network", key), message, hint)


def _too_small_packets(topology: Topology) -> Iterator[Mistake]:
    """RFC 8200, section 5: the kernel switches IPv6 off on a link whose MTU is smaller."""
    network = topology.network
    if 6 in network.families and network.mtu < IPV6_LEAST_MTU:
        message = f"IPv6 needs links of {IPV6_LEAST_MTU} bytes at least"
        yield Mistake(("network", "mtu"), message, "use a larger one, or IPv4 networks alone")


def _containers_in_a_guest(topology: Topology) -> Iterator[Mistake]:
    """The daemon's containers are on the host's kernel."""
    if topology.runtime.uses_docker and topology.kernel == "uml":
        message = "containers of the Docker daemon run on the host's kernel, not in a guest"
        yield Mistake(("kernel",), message, "use kernel: host, or runtime: netns")


def _in_words(families: Iterable[int]) -> str:
    return " and ".join(FAMILY_NAMES[family] for family in families)


def _names_alike(topology: Topology, found: list[Origin]) -> Iterator[Mistake]:
    """Machines, switches and the default namespace's pods share one name space: WHERE of `exec`."""
    nodes = {one.name: one.key for one in fakes.nodes(topology)}
    workloads = {one.name: one for one in fakes.workloads(topology)}
    machines = dict.fromkeys(nodes, "node")
    for kind, names in (("host", topology.hosts), ("router", topology.routers)):
        for name in names:
            if name in machines:
                message = f"{kind} {name} has a {machines[name]}'s name"
                yield Mistake((f"{kind}s", name), message, "rename one of them", at_key=True)
            machines[name] = kind
    for link in topology.all_links:
        for end in link.endpoints:
            machines.setdefault(end, "switch")
    for name, kind in machines.items():
        workload, _, ordinal = name.rpartition("-")
        one = workloads.get(workload)
        if one is None or one.spec.namespace != "default" or not ordinal.isascii():
            continue
        if (
            ordinal.isdecimal()
            and str(int(ordinal)) == ordinal
            and int(ordinal) < one.spec.replicas
        ):
            message = f"{kind} {name} has the name of a pod of workload {workload}"
            own = (f"{kind}s", nodes.get(name, name))
            path: Path = ("links",) if kind == "switch" else own
            yield Mistake(path, message, "rename one of them", at_key=True)
    seen = fake_consistency.names_taken(topology)
    for origin in found:
        item = origin.object
        if isinstance(item, Node) and origin.path[0] == "manifests":
            yield Mistake(origin.path, "a node belongs under nodes:", "move it there")
            continue
        first = seen.setdefault((item.kind, name_of(item)), origin.path)
        if first != origin.path:
            message = f"a second {item.kind} is named {name_of(item)}"
            yield Mistake(origin.path, message, "rename one of them", at_key=True)
        elif isinstance(item, Pod) and name_of(item).removeprefix("default/") in machines:
            message = f"pod {item.meta.name} has a {machines[item.meta.name]}'s name"
            yield Mistake(origin.path, message, "rename one of them")


def _candidates(group: PodGroup, nodes: Iterable[Node]) -> frozenset[str]:
    """Names of the nodes that the scheduler may take for these pods."""
    if group.spec.node_name:
        return frozenset(node.meta.name for node in nodes if node.meta.name == group.spec.node_name)
    return frozenset(
        node.meta.name
        for node in nodes
        if not node.unschedulable
        and matches(group.spec, node)
        and fakes.wants_fake(group.spec) >= fakes.is_fake(node)
    )


def _pods_on_no_node(
    topology: Topology, nodes: list[Node], groups: list[PodGroup]
) -> Iterator[Mistake]:
    for group in groups:
        if not group.replicas or _candidates(group, nodes):
            continue
        path = group.origin.pod_path
        name = group.spec.node_name
        if group.origin.path[0] == "workloads":
            name = topology.workloads[str(group.origin.path[1])].node
        if name and not any(node.meta.name == name for node in nodes):
            key = "node" if group.origin.path[0] == "workloads" else "nodeName"
            meant = nearest(name, topology.nodes)
            hint = f"did you mean {meant}?" if meant else f"nodes are {_some(topology.nodes)}"
            yield Mistake((*path, key), f"there is no node {name}", hint)
        elif trouble := _no_node_of_their_kind(group, nodes):
            yield Mistake(path, f"its pods fit on no node: {trouble[0]}", trouble[1])
        elif all(node.unschedulable for node in nodes):
            yield Mistake(path, "its pods fit on no node: all are unschedulable")
        else:
            key = "nodeSelector" if group.spec.node_selector else "affinity"
            message = "its pods fit on no node: none that is schedulable has these labels"
            yield Mistake((*path, key), message, "label a node under nodes:")


def _no_node_of_their_kind(group: PodGroup, nodes: list[Node]) -> tuple[str, str] | None:
    """Fake pods run on fake nodes, all others on live ones: what is wrong and what to do."""
    if fakes.wants_fake(group.spec):
        if not any(map(fakes.is_fake, nodes)):
            return "none is fake", "add one under nodes:, as in ghost: {fake: 10}"
    elif all(map(fakes.is_fake, nodes)):
        return "all are fake", "add a node that is not, or say fake: true here"
    return None


def _some(names: Iterable[str]) -> str:
    words = list(names)
    return ", ".join(words[:8]) + (", …" if len(words) > 8 else "")


def _too_many_pods(
    topology: Topology, nodes: list[Node], groups: list[PodGroup]
) -> Iterator[Mistake]:
    try:
        plan_addresses(topology)
        room = min(
            pods_per_node(pod_prefix(pods, len(nodes)), pods.version)
            for pods in topology.network.pod_cidrs
        )
    except UsageError as error:
        key = "nodeCIDR" if "nodeCIDR" in error.message else "podCIDR"
        yield Mistake(("network", key), error.message, "use a larger network")
        return
    placed = [(group, _candidates(group, nodes)) for group in groups]
    reported: set[Path] = set()
    for fitting in sorted({names for _, names in placed if names}, key=len):
        # Whoever can only go to these nodes needs an address there.
        inside = [group for group, names in placed if names and names <= fitting]
        pods = sum(group.replicas for group in inside)
        if pods <= room * len(fitting):
            continue
        most = max(inside, key=lambda group: group.replicas)
        path = (*most.origin.spec_path, "replicas")
        if path not in reported:
            reported.add(path)
            where = _some(sorted(fitting))
            message = f"{pods} pods on {where}, whose pod ranges hold {room * len(fitting)}"
            yield Mistake(path, message, "use more nodes, a larger podCIDR or fewer replicas")


def _unknown_probe_ports(groups: list[PodGroup]) -> Iterator[Mistake]:
    for group in groups:
        for index, container in enumerate(group.spec.containers):
            names = {port.name for port in container.ports if port.name}
            for key, probe in (
                ("readinessProbe", container.readiness_probe),
                ("livenessProbe", container.liveness_probe),
                ("startupProbe", container.startup_probe),
            ):
                port = getattr(probe and probe.action, "port", None)  # an exec probe has none
                if isinstance(port, str) and port not in names:
                    inner = ("containers", index) if group.origin.path[0] == "manifests" else ()
                    message = f"the container has no port named {port}"
                    yield Mistake((*group.origin.pod_path, *inner, key), message, "use its number")


def _services_of_nothing(
    topology: Topology, found: list[Origin], groups: list[PodGroup]
) -> Iterator[Mistake]:
    for origin, service in services_of(found):
        if not service.selector:
            continue
        selected = [group for group in groups if _selects(service, group)]
        if origin.path[0] == "services" and not selected:
            yield _nothing_selected(topology, origin, service)
        for index, port in enumerate(service.ports):
            target = port.target_port
            if not selected or isinstance(target, int) or _has_port(selected, target):
                continue
            short = (
                origin.path[0] == "services" and not topology.services[str(origin.path[1])].ports
            )
            inner: Path = () if short else ("ports", index)
            message = f"no container of its pods has a port named {target}"
            yield Mistake((*origin.spec_path, *inner, "targetPort"), message, "use its number")


def _selects(service: Service, group: PodGroup) -> bool:
    return service.meta.namespace == group.namespace and all(
        group.labels.get(key) == value or (key == "app" and value in group.names)
        for key, value in service.selector.items()
    )


def _has_port(groups: list[PodGroup], name: str) -> bool:
    return any(
        port.name == name
        for group in groups
        for container in group.spec.containers
        for port in container.ports
    )


def _nothing_selected(topology: Topology, origin: Origin, service: Service) -> Mistake:
    name, namespace = str(origin.path[1]), service.meta.namespace
    if topology.services[name].selector is not None:
        message = f"no pod in namespace {namespace} has these labels"
        return Mistake((*origin.path, "selector"), message, "use labels of a workload")
    if name in topology.workloads:
        message = f"workload {name} is in namespace {topology.workloads[name].namespace}"
        hint = f"not in {namespace}: a service selects pods of its own namespace"
        return Mistake(origin.path, message, hint, at_key=True)
    meant = nearest(name, topology.workloads)
    hint = f"did you mean {meant}? else write a selector" if meant else "write a selector"
    return Mistake(origin.path, f"there is no workload {name}", hint, at_key=True)


def _address_conflicts(topology: Topology, found: list[Origin]) -> Iterator[Mistake]:
    cidrs = topology.network.service_cidrs
    taken = Taken({}, {})
    wrong = False
    for origin, service in services_of(found):
        for mistake in conflicts(service, taken, cidrs):
            wrong = True
            yield _in_short(mistake, origin, topology)
        taken.add(service)
    if wrong:
        return
    try:
        allocate_all(
            [
                with_meta(service, name=f"{service.meta.name}/{number}") if number else service
                for origin, service in services_of(found)
                for number in range(1 if asks(service) else origin.stands_for)
            ],
            cidrs,
        )
    except OutOfTimeOrRoom as error:
        yield Mistake(("network", "serviceCIDR"), error.message, error.hint)


def _in_short(mistake: Mistake, origin: Origin, topology: Topology) -> Mistake:
    """The mistake at the key that the shorthand has: `nodePort` may stand without `ports`."""
    short = origin.path[0] == "services" and not topology.services[str(origin.path[1])].ports
    path = mistake.path[2:] if short and mistake.path[0] == "ports" else mistake.path
    return Mistake((*origin.spec_path, *path), mistake.message, mistake.hint)
