"""The flow table: who dials what, and who answers, seeing whom.

Every row runs through the packet tracer over the planned rules of each node, and through real
namespaces. Services have no selector and slices are written by hand, so that a row can state any
condition of any endpoint; the pods behind them are real ones in a lab.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from testbed.model.objects import (
    SERVICE_NAME_LABEL,
    SERVICE_PROXY_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    LoadBalancerIngress,
    Node,
    Object,
    ObjectMeta,
    Service,
    ServicePort,
)
from tests import addresses as a
from tests.addresses import Plan

NAMESPACE = "flows"
POD_PORT = 8080
"""Where the test pods answer, TCP and UDP."""

HTTP = EndpointPort(POD_PORT, "http")
DATAGRAMS = EndpointPort(POD_PORT, "dns", "UDP")

REFUSED = "refused"
DROPPED = "dropped"
UNTOUCHED = "untouched"
"""No rule matches: the packet goes where the routes say, and nobody is there."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One row. `client` is a pod, node or outside host; `to` a host (a name of the plan, a
    service's full name, an address) and a port; `answers` says whose address each pod that may
    answer sees.
    """

    name: str
    client: str
    to: str
    answers: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""
    """What happens where nobody answers: REFUSED, DROPPED or UNTOUCHED."""
    protocol: str = "tcp"
    state: str = "base"
    sticks: bool = False
    """A client gets the same one of `answers` every time."""
    via: str = ""
    """The node that an outside host's packet reaches first, where `to` does not say it. A lab has
    no such routes, so the row is only traced.
    """

    @property
    def needs_route(self) -> bool:
        return bool(self.via)


# Cluster states


def cluster(plan: Plan, state: str = "base") -> tuple[Object, ...]:
    """Services and slices of a state, with the plan's addresses."""
    return STATES[state](_base(plan), plan)


def nodes(plan: Plan) -> tuple[Node, ...]:
    """The plan's nodes as API objects, for tests that have no lab."""
    return tuple(Node(ObjectMeta(name), internal_ips=(ip,)) for name, ip in plan.nodes.items())


def _service(name: str, ip: str, **fields: object) -> Service:
    ports = fields.pop("ports", (ServicePort(80, "http"),))
    labels = fields.pop("labels", {})
    meta = ObjectMeta(name, NAMESPACE, labels=labels)  # type: ignore[arg-type]
    return replace(Service(meta, ports, cluster_ips=(ip,)), **fields)  # type: ignore[arg-type]


def _slice(
    service: str,
    endpoints: Iterable[Endpoint],
    suffix: str = "a",
    port: EndpointPort = HTTP,
) -> EndpointSlice:
    meta = ObjectMeta(f"{service}-{suffix}", NAMESPACE, labels={SERVICE_NAME_LABEL: service})
    return EndpointSlice(meta, tuple(endpoints), (port,))


def _ready(plan: Plan, *pods: str) -> tuple[Endpoint, ...]:
    return tuple(Endpoint((plan.pods[pod],), node_name=plan.pod_nodes[pod]) for pod in pods)


def _draining(plan: Plan, pod: str, *, serving: bool = True) -> Endpoint:
    (endpoint,) = _ready(plan, pod)
    return replace(endpoint, ready=False, serving=serving, terminating=True)


def _not_ready(plan: Plan, pod: str) -> Endpoint:
    (endpoint,) = _ready(plan, pod)
    return replace(endpoint, ready=False, serving=False)


def _node_port(number: int) -> tuple[ServicePort, ...]:
    return (ServicePort(80, "http", node_port=number),)


def _base(plan: Plan) -> tuple[Object, ...]:
    return (*_plain(plan), *_by_condition(plan), *_by_policy(plan), *_ignored(plan))


def _plain(plan: Plan) -> tuple[Object, ...]:
    udp = ServicePort(53, "dns", "UDP", node_port=30053)
    return (
        _service("web", a.WEB, type="NodePort", ports=_node_port(30080)),
        _slice("web", _ready(plan, "web-0", "web-1")),
        _service("solo", a.SOLO, type="NodePort", ports=_node_port(30081)),
        _slice("solo", _ready(plan, "web-0")),
        _service("datagram", a.DATAGRAM, type="NodePort", ports=(udp,)),
        _slice(
            "datagram",
            _ready(plan, "web-0", "web-1"),
            port=DATAGRAMS,
        ),
        _service("multi", a.MULTI, ports=(ServicePort(80, "http"), ServicePort(81, "admin"))),
        _slice("multi", _ready(plan, "web-0")),
        _slice("multi", _ready(plan, "web-1"), "b", EndpointPort(POD_PORT, "admin")),
        _service("everywhere", a.EVERYWHERE),
        _slice("everywhere", _ready(plan, "web-3", "web-0", "web-1")),
        _slice("everywhere", (*_ready(plan, "web-2"), _draining(plan, "web-0")), "b"),
    )


def _by_condition(plan: Plan) -> tuple[Object, ...]:
    return (
        _service(
            "empty",
            a.EMPTY,
            type="NodePort",
            ports=(*_node_port(30082), ServicePort(53, "dns", "UDP", node_port=30054)),
        ),
        _slice("empty", ()),
        _service("failing", a.FAILING),
        _slice("failing", (_not_ready(plan, "web-0"), _draining(plan, "web-1", serving=False))),
        _service("draining", a.DRAINING),
        _slice(
            "draining",
            (
                _draining(plan, "web-0"),
                _draining(plan, "web-1", serving=False),
                _not_ready(plan, "web-2"),
            ),
        ),
        _service("mixed", a.MIXED),
        _slice("mixed", (*_ready(plan, "web-1"), _draining(plan, "web-0"))),
    )


def _by_policy(plan: Plan) -> tuple[Object, ...]:
    return (
        _service("sticky", a.STICKY, session_affinity="ClientIP"),
        _slice("sticky", _ready(plan, "web-0", "web-1")),
        _service("outward", a.OUTWARD, external_ips=(a.EXTERNAL_IP,)),
        _slice("outward", _ready(plan, "web-0", "web-1")),
        _service("internal", a.INTERNAL_LOCAL, internal_traffic_policy="Local"),
        _slice("internal", _ready(plan, "web-0", "web-1")),
        _service(
            "external",
            a.EXTERNAL_LOCAL,
            type="LoadBalancer",
            ports=_node_port(30083),
            external_traffic_policy="Local",
            load_balancer_ingress=(LoadBalancerIngress(a.LOAD_BALANCER_IP),),
        ),
        _slice("external", _ready(plan, "web-0", "web-1")),
        _service(
            "ranged",
            a.RANGED,
            type="LoadBalancer",
            ports=_node_port(30084),
            load_balancer_ingress=(LoadBalancerIngress(a.LOAD_BALANCER_RANGED_IP),),
            load_balancer_source_ranges=(a.FAR_CIDR,),
        ),
        _slice("ranged", _ready(plan, "web-0")),
    )


def _ignored(plan: Plan) -> tuple[Object, ...]:
    return (
        _service("headless", "None"),
        _slice("headless", _ready(plan, "web-0", "web-1")),
        _service("elsewhere", "", type="ExternalName", external_name="example.com"),
        _slice("elsewhere", _ready(plan, "web-0")),
        _service("foreign", a.FOREIGN, labels={SERVICE_PROXY_NAME_LABEL: "other"}),
        _slice("foreign", _ready(plan, "web-0")),
    )


def _with(objects: Iterable[Object], *changed: Object) -> tuple[Object, ...]:
    """`objects` with those of the same kind and name replaced."""
    new = {(item.kind, item.meta.name): item for item in changed}
    return tuple(new.get((item.kind, item.meta.name), item) for item in objects)


def _without(objects: Iterable[Object], *names: str) -> tuple[Object, ...]:
    return tuple(item for item in objects if item.meta.name not in names)


STATES = {
    "base": lambda objects, plan: objects,
    "one withdrawn": lambda objects, plan: _with(
        objects, _slice("web", (*_ready(plan, "web-0"), _not_ready(plan, "web-1")))
    ),
    "one replaced": lambda objects, plan: _with(
        objects, _slice("web", _ready(plan, "web-0", "web-2"))
    ),
    "all withdrawn": lambda objects, plan: _with(
        objects, _slice("web", (_not_ready(plan, "web-0"), _not_ready(plan, "web-1")))
    ),
    "scaled up": lambda objects, plan: _with(
        objects, _slice("web", _ready(plan, "web-0", "web-1", "web-2", "web-3"))
    ),
    "empty filled": lambda objects, plan: _with(objects, _slice("empty", _ready(plan, "web-1"))),
    "datagrams moved": lambda objects, plan: _with(
        objects, _slice("datagram", _ready(plan, "web-2"), port=DATAGRAMS)
    ),
    "datagrams gone": lambda objects, plan: _with(objects, _slice("datagram", (), port=DATAGRAMS)),
    "service deleted": lambda objects, plan: _without(objects, "web", "web-a"),
    "node port moved": lambda objects, plan: _with(
        objects, _service("web", a.WEB, type="NodePort", ports=_node_port(30090))
    ),
    "nothing": lambda objects, plan: (),
}
"""Cluster states by name: how each comes from the base."""


# The rows

_WEB_KEPT = {"web-0": "dialer-3", "web-1": "dialer-3"}

CLUSTER_IP_FLOWS = (
    Flow(
        "a pod on a node without a backend reaches the service by its full name",
        "dialer-3",
        "web.flows.svc.cluster.local:80",
        _WEB_KEPT,
    ),
    Flow(
        "a pod on a node without a backend reaches the cluster IP, its address kept",
        "dialer-3",
        f"{a.WEB}:80",
        _WEB_KEPT,
    ),
    Flow(
        "a pod beside a backend reaches all backends alike, its address kept",
        "dialer-1",
        f"{a.WEB}:80",
        {"web-0": "dialer-1", "web-1": "dialer-1"},
    ),
    Flow(
        "a node without a backend reaches the cluster IP",
        "n3",
        f"{a.WEB}:80",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow("a node beside a backend reaches the cluster IP", "n1", f"{a.SOLO}:80", {"web-0": "n1"}),
    Flow(
        "a node reaches a backend on another node through the cluster IP",
        "n2",
        f"{a.SOLO}:80",
        {"web-0": "n2"},
    ),
    Flow(
        "a packet from outside that a node routes to a cluster IP is masqueraded",
        "client",
        f"{a.WEB}:80",
        {"web-0": "n1", "web-1": "n1"},
        via="n1",
    ),
    Flow(
        "each of four backends in two slices is reached once, a duplicate's terminating half ignored",
        "dialer-3",
        f"{a.EVERYWHERE}:80",
        {"web-0": "dialer-3", "web-1": "dialer-3", "web-2": "dialer-3", "web-3": "dialer-3"},
    ),
    Flow(
        "the first port of two leads to its own endpoints",
        "dialer-3",
        f"{a.MULTI}:80",
        {"web-0": "dialer-3"},
    ),
    Flow(
        "the second port of two leads to its own endpoints",
        "dialer-3",
        f"{a.MULTI}:81",
        {"web-1": "dialer-3"},
    ),
    Flow(
        "a port that the service does not have is nobody's",
        "dialer-3",
        f"{a.MULTI}:82",
        otherwise=UNTOUCHED,
    ),
    Flow(
        "a TCP service does not answer UDP",
        "dialer-3",
        f"{a.WEB}:80",
        otherwise=UNTOUCHED,
        protocol="udp",
    ),
    Flow(
        "a pod reached directly sees the client",
        "dialer-3",
        f"web-0:{POD_PORT}",
        {"web-0": "dialer-3"},
    ),
    Flow("a node reaches a pod directly", "n3", f"web-1:{POD_PORT}", {"web-1": "n3"}),
)

HAIRPIN_FLOWS = (
    Flow(
        "a pod that dials its own service and gets itself sees its node",
        "web-0",
        f"{a.SOLO}:80",
        {"web-0": "n1"},
    ),
    Flow(
        "a pod that dials its own service is masqueraded towards itself only",
        "web-0",
        f"{a.WEB}:80",
        {"web-0": "n1", "web-1": "web-0"},
    ),
    Flow(
        "a pod that dials its own service's node port sees its node",
        "web-0",
        "n1:30081",
        {"web-0": "n1"},
    ),
)

NODE_PORT_FLOWS = (
    Flow(
        "an outside client is masqueraded by the node whose port it dials",
        "client",
        "n1:30080",
        {"web-0": "n1", "web-1": "n1"},
    ),
    Flow(
        "a node without a backend forwards its node port",
        "client",
        "n3:30080",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow(
        "an outside client is masqueraded towards a remote pod",
        "client",
        "n2:30081",
        {"web-0": "n2"},
    ),
    Flow(
        "a pod that dials its own node's port is masqueraded",
        "dialer-1",
        "n1:30080",
        {"web-0": "n1", "web-1": "n1"},
    ),
    Flow(
        "a pod that dials another node's port is masqueraded there",
        "dialer-3",
        "n2:30080",
        {"web-0": "n2", "web-1": "n2"},
    ),
    Flow("a node that dials its own port", "n1", "n1:30080", {"web-0": "n1", "web-1": "n1"}),
    Flow(
        "a node that dials another node's port is masqueraded there",
        "n3",
        "n1:30080",
        {"web-0": "n1", "web-1": "n1"},
    ),
    Flow(
        "a node reaches its node port on the loopback address",
        "n1",
        "127.0.0.1:30080",
        {"web-0": "n1", "web-1": "n1"},
    ),
    Flow(
        "a node port that nobody has is left to the node itself",
        "client",
        "n1:30099",
        otherwise=UNTOUCHED,
    ),
    Flow(
        "a TCP node port does not answer UDP",
        "client",
        "n1:30080",
        otherwise=UNTOUCHED,
        protocol="udp",
    ),
    Flow("the service port is no node port", "client", "n1:80", otherwise=UNTOUCHED),
)

UDP_FLOWS = (
    Flow(
        "a pod reaches a UDP service, its address kept",
        "dialer-3",
        f"{a.DATAGRAM}:53",
        _WEB_KEPT,
        protocol="udp",
    ),
    Flow(
        "a pod reaches a UDP service by its full name",
        "dialer-1",
        "datagram.flows.svc.cluster.local:53",
        {"web-0": "dialer-1", "web-1": "dialer-1"},
        protocol="udp",
    ),
    Flow(
        "an outside client reaches a UDP node port",
        "client",
        "n3:30053",
        {"web-0": "n3", "web-1": "n3"},
        protocol="udp",
    ),
    Flow("a UDP service does not answer TCP", "dialer-3", f"{a.DATAGRAM}:53", otherwise=UNTOUCHED),
)

NO_ENDPOINT_FLOWS = (
    Flow(
        "a service without endpoints refuses a pod", "dialer-3", f"{a.EMPTY}:80", otherwise=REFUSED
    ),
    Flow("a service without endpoints refuses a node", "n1", f"{a.EMPTY}:80", otherwise=REFUSED),
    Flow("its node port refuses an outside client", "client", "n1:30082", otherwise=REFUSED),
    Flow("its node port refuses a pod on another node", "dialer-3", "n1:30082", otherwise=REFUSED),
    Flow(
        "a UDP port without endpoints refuses a pod",
        "dialer-1",
        f"{a.EMPTY}:53",
        otherwise=REFUSED,
        protocol="udp",
    ),
    Flow(
        "a UDP node port without endpoints refuses",
        "client",
        "n2:30054",
        otherwise=REFUSED,
        protocol="udp",
    ),
    Flow(
        "a service whose endpoints all fail refuses",
        "dialer-3",
        f"{a.FAILING}:80",
        otherwise=REFUSED,
    ),
)

TERMINATING_FLOWS = (
    Flow(
        "with none ready, a terminating pod that still serves answers",
        "dialer-3",
        f"{a.DRAINING}:80",
        {"web-0": "dialer-3"},
    ),
    Flow(
        "with one ready, a terminating pod gets nothing new",
        "dialer-3",
        f"{a.MIXED}:80",
        {"web-1": "dialer-3"},
    ),
)

IGNORED_FLOWS = (
    Flow(
        "a headless service's pods are dialled directly",
        "dialer-3",
        f"web-1:{POD_PORT}",
        {"web-1": "dialer-3"},
    ),
    Flow(
        "a cluster IP that no service has is nobody's",
        "dialer-3",
        f"{a.UNUSED}:80",
        otherwise=UNTOUCHED,
    ),
    Flow(
        "another proxy's service is left alone", "dialer-3", f"{a.FOREIGN}:80", otherwise=UNTOUCHED
    ),
)

CHANGE_FLOWS = (
    Flow(
        "a withdrawn endpoint gets nothing",
        "dialer-3",
        f"{a.WEB}:80",
        {"web-0": "dialer-3"},
        state="one withdrawn",
    ),
    Flow(
        "a withdrawn endpoint gets nothing through a node port",
        "client",
        "n3:30080",
        {"web-0": "n3"},
        state="one withdrawn",
    ),
    Flow(
        "a replacement gets its share",
        "dialer-3",
        f"{a.WEB}:80",
        {"web-0": "dialer-3", "web-2": "dialer-3"},
        state="one replaced",
    ),
    Flow(
        "the last endpoint withdrawn, the service refuses",
        "dialer-3",
        f"{a.WEB}:80",
        otherwise=REFUSED,
        state="all withdrawn",
    ),
    Flow(
        "the last endpoint withdrawn, the node port refuses",
        "client",
        "n3:30080",
        otherwise=REFUSED,
        state="all withdrawn",
    ),
    Flow(
        "new endpoints get their share",
        "dialer-3",
        f"{a.WEB}:80",
        {"web-0": "dialer-3", "web-1": "dialer-3", "web-2": "dialer-3", "web-3": "dialer-3"},
        state="scaled up",
    ),
    Flow(
        "a service that gets its first endpoint stops refusing",
        "dialer-3",
        f"{a.EMPTY}:80",
        {"web-1": "dialer-3"},
        state="empty filled",
    ),
    Flow(
        "a UDP replacement gets everything new",
        "dialer-3",
        f"{a.DATAGRAM}:53",
        {"web-2": "dialer-3"},
        protocol="udp",
        state="datagrams moved",
    ),
    Flow(
        "the last UDP endpoint withdrawn, the service refuses",
        "dialer-3",
        f"{a.DATAGRAM}:53",
        otherwise=REFUSED,
        protocol="udp",
        state="datagrams gone",
    ),
    Flow(
        "a deleted service is nobody's",
        "dialer-3",
        f"{a.WEB}:80",
        otherwise=UNTOUCHED,
        state="service deleted",
    ),
    Flow(
        "a moved node port answers at its new number",
        "client",
        "n1:30090",
        {"web-0": "n1", "web-1": "n1"},
        state="node port moved",
    ),
    Flow(
        "a moved node port is gone from its old number",
        "client",
        "n1:30080",
        otherwise=UNTOUCHED,
        state="node port moved",
    ),
)

POLICY_FLOWS = (
    Flow(
        "a client of a sticky service gets any backend, and keeps it",
        "dialer-3",
        f"{a.STICKY}:80",
        _WEB_KEPT,
        sticks=True,
    ),
    Flow(
        "internal policy Local leads to this node's pods",
        "dialer-1",
        f"{a.INTERNAL_LOCAL}:80",
        {"web-0": "dialer-1"},
    ),
    Flow(
        "internal policy Local drops where the node has none",
        "dialer-3",
        f"{a.INTERNAL_LOCAL}:80",
        otherwise=DROPPED,
    ),
    Flow(
        "external policy Local keeps the outside client's address",
        "client",
        "n1:30083",
        {"web-0": "client"},
    ),
    Flow(
        "external policy Local leads to the dialled node's pods",
        "client",
        "n2:30083",
        {"web-1": "client"},
    ),
    Flow(
        "external policy Local drops where the node has none",
        "client",
        "n3:30083",
        otherwise=DROPPED,
    ),
    Flow(
        "external policy Local gives a pod all backends, its address kept",
        "dialer-3",
        "n3:30083",
        {"web-0": "dialer-3", "web-1": "dialer-3"},
    ),
    Flow(
        "external policy Local gives a node all backends",
        "n3",
        "n3:30083",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow(
        "external policy Local does not touch the cluster IP",
        "dialer-3",
        f"{a.EXTERNAL_LOCAL}:80",
        _WEB_KEPT,
    ),
    Flow(
        "a pod reaches an external IP through its own node, masqueraded",
        "dialer-3",
        f"{a.EXTERNAL_IP}:80",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow(
        "an outside client reaches an external IP through the node that routes it",
        "client",
        f"{a.EXTERNAL_IP}:80",
        {"web-0": "n2", "web-1": "n2"},
        via="n2",
    ),
    Flow(
        "a load balancer's address with policy Local keeps the client's address",
        "client",
        f"{a.LOAD_BALANCER_IP}:80",
        {"web-1": "client"},
        via="n2",
    ),
    Flow(
        "a load balancer's address drops who is outside its source ranges",
        "client",
        f"{a.LOAD_BALANCER_RANGED_IP}:80",
        otherwise=DROPPED,
        via="n1",
    ),
    Flow(
        "a load balancer's source ranges do not guard the node port",
        "client",
        "n1:30084",
        {"web-0": "n1"},
    ),
)

FLOWS = (
    *CLUSTER_IP_FLOWS,
    *HAIRPIN_FLOWS,
    *NODE_PORT_FLOWS,
    *UDP_FLOWS,
    *NO_ENDPOINT_FLOWS,
    *TERMINATING_FLOWS,
    *IGNORED_FLOWS,
    *CHANGE_FLOWS,
    *POLICY_FLOWS,
)
