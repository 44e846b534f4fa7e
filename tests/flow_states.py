"""The cluster states of the flow table. Services have no selector and slices are written by hand,
so that a state can hold any condition of any endpoint; the pods behind them are real ones in a lab.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import Object, ObjectMeta
from testbed.model.objects.nodes import ZONE_LABEL, Node
from testbed.model.objects.services import (
    SERVICE_PROXY_NAME_LABEL,
    LoadBalancerIngress,
    Service,
    ServicePort,
)
from tests.addresses import ZONES, Plan
from tests.flow import NAMESPACE, POD_PORT

HTTP = EndpointPort(POD_PORT, "http")
DATAGRAMS = EndpointPort(POD_PORT, "dns", "UDP")
STREAM = EndpointPort(POD_PORT, "stream", "SCTP")

Objects = tuple[Object, ...]


def cluster(plan: Plan, state: str = "base", second: Plan | None = None) -> Objects:
    """Services and slices of a state, with the plan's addresses; with two plans each service has both
    IP families.
    """
    objects = STATES[state](_base(plan), plan)
    if second is None:
        return objects
    return _joined(objects, STATES[state](_base(second), second))


def nodes(plan: Plan, second: Plan | None = None) -> tuple[Node, ...]:
    """The plan's nodes as API objects, for tests that have no lab."""
    plans = [one for one in (plan, second) if one is not None]
    return tuple(
        Node(
            ObjectMeta(name, labels={ZONE_LABEL: ZONES[name]}),
            internal_ips=tuple(one.nodes[name] for one in plans),
        )
        for name in plan.nodes
    )


def _joined(first: Objects, second: Objects) -> Objects:
    """Each service with the addresses of both, and the slices of both."""
    others = {item.meta.name: item for item in second if isinstance(item, Service)}
    joined: list[Object] = []
    for item in first:
        other = others.pop(item.meta.name, None) if isinstance(item, Service) else None
        joined.append(_in_both(item, other) if other and isinstance(item, Service) else item)
    slices = [item for item in second if isinstance(item, EndpointSlice)]
    return (*joined, *others.values(), *slices)


def _in_both(item: Service, other: Service) -> Service:
    if item.headless or item.type == "ExternalName":
        return item
    return replace(
        item,
        cluster_ips=item.cluster_ips + other.cluster_ips,
        ip_families=item.ip_families + other.ip_families,
        ip_family_policy="PreferDualStack",
        external_ips=item.external_ips + other.external_ips,
        load_balancer_ingress=tuple(
            dict.fromkeys(item.load_balancer_ingress + other.load_balancer_ingress)
        ),
        load_balancer_source_ranges=item.load_balancer_source_ranges
        + other.load_balancer_source_ranges,
    )


# Parts


def _port(number: int = 0) -> ServicePort:
    return ServicePort(80, "http", node_port=number)


class _Parts:
    """Makes services and slices with one plan's addresses."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.family = f"IPv{plan.family}"

    def service(self, name: str, *ports: ServicePort, **fields: Any) -> Service:
        labels = fields.pop("labels", {})
        meta = ObjectMeta(name, NAMESPACE, labels=labels)
        found = Service(
            meta,
            ports or (_port(),),
            cluster_ips=(self.plan.addresses[name],),
            ip_families=(self.family,),
            ip_family_policy="SingleStack",
        )
        return replace(found, **fields)

    def node_port(self, name: str, number: int, **fields: Any) -> Service:
        return self.service(name, _port(number), type="NodePort", **fields)

    def balanced(self, name: str, number: int, **fields: Any) -> Service:
        """Of type LoadBalancer, with the address NAME-lb."""
        ingress = (LoadBalancerIngress(self.plan.addresses[f"{name}-lb"]),)
        given = {"type": "LoadBalancer", "load_balancer_ingress": ingress, **fields}
        return self.service(name, _port(number), **given)

    def slice(
        self,
        service: str,
        endpoints: Iterable[Endpoint],
        suffix: str = "a",
        port: EndpointPort = HTTP,
    ) -> EndpointSlice:
        name = f"{service}-{suffix}" if self.plan.family == 4 else f"{service}-{suffix}6"
        meta = ObjectMeta(name, NAMESPACE, labels={SERVICE_NAME_LABEL: service})
        return EndpointSlice(meta, tuple(endpoints), (port,), self.family)

    def ready(self, *pods: str) -> tuple[Endpoint, ...]:
        plan = self.plan
        return tuple(Endpoint((plan.pods[pod],), node_name=plan.pod_nodes[pod]) for pod in pods)

    def draining(self, *pods: str, serving: bool = True) -> tuple[Endpoint, ...]:
        return tuple(
            replace(one, ready=False, serving=serving, terminating=True)
            for one in self.ready(*pods)
        )

    def not_ready(self, *pods: str) -> tuple[Endpoint, ...]:
        return tuple(replace(one, ready=False, serving=False) for one in self.ready(*pods))

    def hinted(self, pod: str, zones: str = "", nodes: str = "") -> tuple[Endpoint, ...]:
        """A ready endpoint for some zones and nodes, both written with spaces between."""
        (endpoint,) = self.ready(pod)
        return (replace(endpoint, for_zones=tuple(zones.split()), for_nodes=tuple(nodes.split())),)

    def both(self, service: Service) -> Objects:
        """A service in front of web-0 on n1 and web-1 on n2."""
        return (service, self.slice(service.meta.name, self.ready("web-0", "web-1")))


# The base


def _base(plan: Plan) -> Objects:
    make = _Parts(plan)
    return (
        *_plain(make),
        *_ports(make),
        *_by_condition(make),
        *_by_affinity(make),
        *_by_policy(make),
        *_by_external_address(make),
        *_by_source_range(make),
        *_by_hint(make),
        *_ignored(make),
    )


def _plain(make: _Parts) -> Objects:
    return (
        *make.both(make.node_port("web", 30080)),
        make.node_port("solo", 30081),
        make.slice("solo", make.ready("web-0")),
        make.service("everywhere"),
        make.slice("everywhere", make.ready("web-3", "web-0", "web-1")),
        make.slice("everywhere", (*make.ready("web-2"), *make.draining("web-0")), "b"),
    )


def _ports(make: _Parts) -> Objects:
    """Several ports, and protocols."""
    udp = ServicePort(53, "dns", "UDP", node_port=30053)
    sctp = ServicePort(90, "stream", "SCTP", node_port=30090)
    two = (ServicePort(53, "dns", "UDP"), ServicePort(53, "dns-tcp", "TCP"))
    return (
        make.service("datagram", udp, type="NodePort"),
        make.slice("datagram", make.ready("web-0", "web-1"), port=DATAGRAMS),
        make.service("stream", sctp, type="NodePort"),
        make.slice("stream", make.ready("web-0", "web-1"), port=STREAM),
        make.service("multi", _port(), ServicePort(81, "admin")),
        make.slice("multi", make.ready("web-0")),
        make.slice("multi", make.ready("web-1"), "b", EndpointPort(POD_PORT, "admin")),
        make.service("dns", *two),
        make.slice("dns", make.ready("web-0"), port=DATAGRAMS),
        make.slice("dns", make.ready("web-1"), "b", EndpointPort(POD_PORT, "dns-tcp")),
    )


def _by_condition(make: _Parts) -> Objects:
    udp = ServicePort(53, "dns", "UDP", node_port=30054)
    unserved = make.draining("web-1", serving=False)
    return (
        make.service("empty", _port(30082), udp, type="NodePort"),
        make.slice("empty", ()),
        make.balanced("balanced-empty", 30100),
        make.slice("balanced-empty", make.not_ready("web-0")),
        make.service("failing"),
        make.slice("failing", (*make.not_ready("web-0"), *unserved)),
        make.service("draining"),
        make.slice("draining", (*make.draining("web-0"), *unserved, *make.not_ready("web-2"))),
        make.service("mixed"),
        make.slice("mixed", (*make.ready("web-1"), *make.draining("web-0"))),
    )


def _by_affinity(make: _Parts) -> Objects:
    sticky = {"session_affinity": "ClientIP"}
    everybody = make.ready("web-0", "web-1", "web-2", "web-3")
    ports = (_port(), ServicePort(81, "admin"))
    return (
        *make.both(make.service("sticky", **sticky)),
        make.service("brief", session_affinity_timeout_s=1, **sticky),
        make.slice("brief", everybody),
        make.service("sticky-ports", *ports, **sticky),
        make.slice("sticky-ports", make.ready("web-0", "web-1")),
        make.slice("sticky-ports", make.ready("web-2"), "b", EndpointPort(POD_PORT, "admin")),
        *make.both(make.balanced("sticky-out", 30093, external_traffic_policy="Local", **sticky)),
        make.service("sticky-empty", **sticky),
        make.slice("sticky-empty", ()),
    )


def _by_policy(make: _Parts) -> Objects:
    inside = {"internal_traffic_policy": "Local"}
    outside = {"external_traffic_policy": "Local"}
    ends_on_n1 = (*make.draining("web-0"), *make.ready("web-1"))
    dns = ServicePort(53, "dns", "UDP")
    return (
        *make.both(make.service("internal", **inside)),
        *make.both(make.balanced("external", 30083, **outside)),
        *make.both(make.balanced("inward", 30087, **inside, **outside)),
        make.service("datagram-in", dns, **inside),
        make.slice("datagram-in", make.ready("web-0", "web-1"), port=DATAGRAMS),
        make.balanced("draining-out", 30088, **outside),
        make.slice("draining-out", ends_on_n1),
        make.service("draining-in", **inside),
        make.slice("draining-in", ends_on_n1),
        make.balanced(
            "external-empty",
            30089,
            external_ips=(make.plan.addresses["external-empty-ip"],),
            **outside,
        ),
        make.slice("external-empty", make.not_ready("web-0")),
        make.service("internal-empty", **inside),
        make.slice("internal-empty", ()),
        make.service("empty-in", external_ips=(make.plan.addresses["empty-in-ip"],), **inside),
        make.slice("empty-in", make.ready("web-1")),
    )


def _by_external_address(make: _Parts) -> Objects:
    """External IPs and what a load balancer was given."""
    addresses = make.plan.addresses
    proxied = (
        LoadBalancerIngress(addresses["proxied-lb"], ip_mode="Proxy"),
        LoadBalancerIngress(hostname="balancer.example.com"),
    )
    outward_in = (addresses["outward-in-ip"],)
    return (
        *make.both(make.service("outward", external_ips=(addresses["outward-ip"],))),
        *make.both(
            make.service("outward-in", external_ips=outward_in, external_traffic_policy="Local")
        ),
        *make.both(make.balanced("balanced", 30086)),
        *make.both(make.balanced("proxied", 30092, load_balancer_ingress=proxied)),
        *make.both(make.balanced("portless", 0, allocate_load_balancer_node_ports=False)),
    )


def _by_source_range(make: _Parts) -> Objects:
    plan = make.plan
    bits = 128 if plan.family == 6 else 32
    everybody = "::/0" if plan.family == 6 else "0.0.0.0/0"
    found: list[Object] = []
    for name, port, ranges in (
        ("ranged", 30084, (plan.far_cidr,)),
        ("open", 30085, (plan.far_cidr, everybody)),
        ("node-ranged", 30091, (plan.far_cidr, f"{plan.nodes['n1']}/{bits}")),
        ("client-ranged", 30094, (f"{plan.hosts['client']}/{bits}",)),
        ("ranged-in", 30095, (f"{plan.pods['dialer-3']}/{bits}",)),
    ):
        service = make.balanced(name, port, load_balancer_source_ranges=ranges)
        found += [service, make.slice(name, make.ready("web-0"))]
    return tuple(found)


def _by_hint(make: _Parts) -> Objects:
    """n1 is in zone a, n2 and n3 in zone b."""
    zoned = (*make.hinted("web-0", "a"), *make.hinted("web-1", "b"))
    by_node = (*make.hinted("web-0", "a b", "n1 n2"), *make.hinted("web-1", "a b", "n3"))
    far = (*make.hinted("web-0", "c"), *make.hinted("web-1", "c"))
    return (
        make.node_port("zoned", 30096),
        make.slice("zoned", zoned),
        make.service("node-zoned"),
        make.slice("node-zoned", by_node),
        make.service("part-zoned"),
        make.slice("part-zoned", (*make.hinted("web-0", "a"), *make.ready("web-1"))),
        make.service("far-zoned"),
        make.slice("far-zoned", far),
        make.service("zoned-in", internal_traffic_policy="Local"),
        make.slice("zoned-in", (*make.hinted("web-0", "b"), *make.hinted("web-1", "a"))),
        make.service("zoned-draining"),
        make.slice("zoned-draining", (*zoned, *make.draining("web-2"))),
    )


def _ignored(make: _Parts) -> Objects:
    foreign = {SERVICE_PROXY_NAME_LABEL: "other"}
    only = f"only-{make.plan.family}"
    return (
        Service(
            ObjectMeta("headless", NAMESPACE),
            (_port(),),
            cluster_ips=("None",),
            ip_families=(make.family,),
            ip_family_policy="SingleStack",
        ),
        make.slice("headless", make.ready("web-0", "web-1")),
        Service(
            ObjectMeta("elsewhere", NAMESPACE),
            (_port(),),
            type="ExternalName",
            external_name="example.com",
        ),
        make.slice("elsewhere", make.ready("web-0")),
        make.service("foreign", labels=foreign),
        make.slice("foreign", make.ready("web-0")),
        make.service(only),
        make.slice(only, make.ready("web-0")),
    )


# Changes


def _with(*changed: Object) -> Callable[[Objects], Objects]:
    """Objects with those of the same kind and name replaced."""
    new = {(item.kind, item.meta.name): item for item in changed}

    def replaced(objects: Objects) -> Objects:
        return tuple(new.get((item.kind, item.meta.name), item) for item in objects)

    return replaced


def _endpoints(service: str, pods: str, *further: Endpoint) -> Callable[[Objects, Plan], Objects]:
    """The service's first slice has these pods, all ready."""

    def changed(objects: Objects, plan: Plan) -> Objects:
        make = _Parts(plan)
        return _with(make.slice(service, (*make.ready(*pods.split()), *further)))(objects)

    return changed


def _changed(change: Callable[[_Parts], Iterable[Object]]) -> Callable[[Objects, Plan], Objects]:
    return lambda objects, plan: _with(*change(_Parts(plan)))(objects)


def _without(*names: str) -> Callable[[Objects, Plan], Objects]:
    return lambda objects, plan: tuple(
        item for item in objects if item.meta.name.removesuffix("6") not in names
    )


def _web_port(number: int, node_port: int) -> ServicePort:
    return ServicePort(number, "http", node_port=node_port)


STATES: Mapping[str, Callable[[Objects, Plan], Objects]] = {
    "base": lambda objects, plan: objects,
    "one withdrawn": _changed(
        lambda make: [make.slice("web", (*make.ready("web-0"), *make.not_ready("web-1")))]
    ),
    "one replaced": _endpoints("web", "web-0 web-2"),
    "all withdrawn": _changed(lambda make: [make.slice("web", make.not_ready("web-0", "web-1"))]),
    "all draining": _changed(lambda make: [make.slice("web", make.draining("web-0", "web-1"))]),
    "scaled up": _endpoints("web", "web-0 web-1 web-2 web-3"),
    "empty filled": _endpoints("empty", "web-1"),
    "datagrams moved": _changed(
        lambda make: [make.slice("datagram", make.ready("web-2"), port=DATAGRAMS)]
    ),
    "datagrams gone": _changed(lambda make: [make.slice("datagram", (), port=DATAGRAMS)]),
    "service deleted": _without("web", "web-a"),
    "node port moved": _changed(lambda make: [make.node_port("web", 30180)]),
    "port moved": _changed(
        lambda make: [make.service("web", _web_port(88, 30080), type="NodePort")]
    ),
    "node port taken away": _changed(lambda make: [make.service("web")]),
    "made a load balancer": _changed(
        lambda make: [
            make.service(
                "web",
                _port(30080),
                type="LoadBalancer",
                load_balancer_ingress=(LoadBalancerIngress(make.plan.addresses["balanced-lb"]),),
            ),
            make.service("balanced"),
        ]
    ),
    "made an external name": _changed(
        lambda make: [
            Service(
                ObjectMeta("web", NAMESPACE),
                (_port(),),
                type="ExternalName",
                external_name="example.com",
            )
        ]
    ),
    "made sticky": _changed(lambda make: [make.service("web", session_affinity="ClientIP")]),
    "policies turned": _changed(
        lambda make: [
            make.node_port(
                "web", 30080, internal_traffic_policy="Local", external_traffic_policy="Local"
            ),
            make.service("internal"),
            make.balanced("external", 30083),
        ]
    ),
    "local pods moved": _changed(
        lambda make: [
            make.slice("external", make.ready("web-1")),
            make.slice("internal", make.ready("web-1")),
        ]
    ),
    "ranges turned": _changed(
        lambda make: [
            make.balanced("ranged", 30084),
            make.balanced("open", 30085, load_balancer_source_ranges=(make.plan.far_cidr,)),
        ]
    ),
    "hints lost": _changed(
        lambda make: [make.slice("zoned", (*make.hinted("web-0", "a"), *make.ready("web-1")))]
    ),
    "second port taken away": _changed(lambda make: [make.service("multi")]),
    "protocol changed": _changed(
        lambda make: [
            make.service("web", ServicePort(80, "http", "UDP", node_port=30080), type="NodePort"),
            make.slice(
                "web", make.ready("web-0", "web-1"), port=EndpointPort(POD_PORT, "http", "UDP")
            ),
        ]
    ),
    "nothing": lambda objects, plan: (),
}
"""Cluster states by name: how each comes from the base."""
