"""Rows: node ports, external IPs, load balancers and their source ranges."""

from __future__ import annotations

from tests.flow import DROPPED, UNTOUCHED, Deviation, Flow
from tests.flows_cluster_ip import KEPT

_PRIMARY_ONLY = {
    "nftables": Deviation(
        "node ports answer on the node's primary address only",
        otherwise=UNTOUCHED,
    ),
    "ipvs": Deviation(
        "a virtual server for each address that the Node object names: ours looks no further",
        otherwise=UNTOUCHED,
        documented=True,
    ),
}
_NO_LOOPBACK = "node ports never answer on the loopback address"
_NOT_ON_LOOPBACK = {
    "nftables": Deviation(_NO_LOOPBACK, otherwise=UNTOUCHED, documented=True),
    "ipvs": Deviation(_NO_LOOPBACK, otherwise=UNTOUCHED, documented=True),
}

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
        "loopback:30080",
        {"web-0": "n1", "web-1": "n1"},
        families=(4,),
        deviates=_NOT_ON_LOOPBACK,
    ),
    Flow(
        "IPv6's loopback address is no node port's",
        "n1",
        "loopback:30080",
        otherwise=UNTOUCHED,
        families=(6,),
        deviates={
            "userspace": Deviation(
                "all addresses of the node lead to the process, ::1 among them",
                {"web-0": "n1", "web-1": "n1"},
                documented=True,
            )
        },
    ),
    Flow(
        "a node port answers on each of the node's addresses",
        "client",
        "n1-second:30081",
        {"web-0": "n1"},
        deviates=_PRIMARY_ONLY,
    ),
    Flow(
        "a node port answers a pod on each of the node's addresses",
        "dialer-1",
        "n1-second:30081",
        {"web-0": "n1"},
        deviates=_PRIMARY_ONLY,
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
    Flow(
        "a service of type LoadBalancer has a node port as well",
        "client",
        "n3:30086",
        {"web-0": "n3", "web-1": "n3"},
    ),
)

EXTERNAL_IP_FLOWS = (
    Flow(
        "a pod reaches an external IP through its own node, masqueraded",
        "dialer-3",
        "outward-ip:80",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow(
        "a node reaches an external IP",
        "n1",
        "outward-ip:80",
        {"web-0": "n1", "web-1": "n1"},
        blind="untouched",
    ),
    Flow(
        "an outside client reaches an external IP through the node that routes it",
        "client",
        "outward-ip:80",
        {"web-0": "n2", "web-1": "n2"},
        via="n2",
    ),
    Flow(
        "an external IP through a node without a backend",
        "client",
        "outward-ip:80",
        {"web-0": "n3", "web-1": "n3"},
        via="n3",
    ),
    Flow("beside it the cluster IP works as ever", "dialer-3", "outward:80", KEPT),
)

LOAD_BALANCER_FLOWS = (
    Flow(
        "a load balancer's address is masqueraded by the node that gets the packet",
        "client",
        "balanced-lb:80",
        {"web-0": "n1", "web-1": "n1"},
        via="n1",
    ),
    Flow(
        "a load balancer's address through a node without a backend",
        "client",
        "balanced-lb:80",
        {"web-0": "n3", "web-1": "n3"},
        via="n3",
    ),
    Flow(
        "a pod reaches a load balancer's address through its own node, masqueraded",
        "dialer-3",
        "balanced-lb:80",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow(
        "a node reaches a load balancer's address",
        "n3",
        "balanced-lb:80",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow("a load balancer's service has a cluster IP", "dialer-3", "balanced:80", KEPT),
    Flow(
        "an address of ipMode Proxy is left to the load balancer",
        "dialer-3",
        "proxied-lb:80",
        otherwise=UNTOUCHED,
    ),
    Flow(
        "an address of ipMode Proxy is left alone for outside clients, too",
        "client",
        "proxied-lb:80",
        otherwise=UNTOUCHED,
        via="n1",
    ),
    Flow(
        "a load balancer of ipMode Proxy, or with a name, comes in by the node port",
        "client",
        "n1:30092",
        {"web-0": "n1", "web-1": "n1"},
    ),
    Flow(
        "without node ports a load balancer's address still works",
        "client",
        "portless-lb:80",
        {"web-0": "n2", "web-1": "n2"},
        via="n2",
    ),
)

SOURCE_RANGE_FLOWS = (
    Flow(
        "a load balancer's address drops who is outside its source ranges",
        "client",
        "ranged-lb:80",
        otherwise=DROPPED,
        via="n1",
        blind="web-0",
    ),
    Flow(
        "source ranges drop a pod that is in none of them",
        "dialer-3",
        "ranged-lb:80",
        otherwise=DROPPED,
        blind="web-0",
    ),
    Flow(
        "source ranges drop a node that is in none of them",
        "n1",
        "ranged-lb:80",
        otherwise=DROPPED,
        blind="web-0",
    ),
    Flow(
        "source ranges do not guard the node port",
        "client",
        "n1:30084",
        {"web-0": "n1"},
    ),
    Flow(
        "source ranges do not guard the cluster IP", "dialer-3", "ranged:80", {"web-0": "dialer-3"}
    ),
    Flow(
        "a source range of everybody is no restriction",
        "client",
        "open-lb:80",
        {"web-0": "n1"},
        via="n1",
    ),
    Flow(
        "a source range of everybody is none for pods either",
        "dialer-3",
        "open-lb:80",
        {"web-0": "n3"},
    ),
    Flow(
        "a client in a source range comes in",
        "client",
        "client-ranged-lb:80",
        {"web-0": "n1"},
        via="n1",
    ),
    Flow(
        "a client in a source range comes in through a node without a backend",
        "client",
        "client-ranged-lb:80",
        {"web-0": "n3"},
        via="n3",
    ),
    Flow(
        "a client's source range lets no pod in",
        "dialer-3",
        "client-ranged-lb:80",
        otherwise=DROPPED,
        blind="web-0",
    ),
    Flow("a pod in a source range comes in", "dialer-3", "ranged-in-lb:80", {"web-0": "n3"}),
    Flow(
        "a pod beside it does not",
        "dialer-1",
        "ranged-in-lb:80",
        otherwise=DROPPED,
        blind="web-0",
    ),
    Flow("a node in a source range comes in", "n1", "node-ranged-lb:80", {"web-0": "n1"}),
    Flow(
        "another node does not",
        "n2",
        "node-ranged-lb:80",
        otherwise=DROPPED,
        blind="web-0",
    ),
    Flow(
        "a node in a source range lets no outside client in",
        "client",
        "node-ranged-lb:80",
        otherwise=DROPPED,
        via="n1",
        blind="web-0",
    ),
)

_NO_SUCH_OPTION = {
    "userspace": Deviation(
        "the mode has no such option: node ports answer on every address",
        {"web-0": "n1"},
        documented=True,
    )
}
MASQUERADE_ALL = "masquerade all"
PRIMARY_NODE_PORTS = "primary node ports"

OPTION_FLOWS = (
    Flow(
        "masqueradeAll hides a pod that dials a cluster IP behind its node",
        "dialer-3",
        "web:80",
        {"web-0": "n3", "web-1": "n3"},
        option=MASQUERADE_ALL,
    ),
    Flow(
        "masqueradeAll hides a pod that dials its own service, whoever answers",
        "web-0",
        "web:80",
        {"web-0": "n1", "web-1": "n1"},
        option=MASQUERADE_ALL,
    ),
    Flow(
        "masqueradeAll hides a pod that dials a UDP service",
        "dialer-1",
        "datagram:53",
        {"web-0": "n1", "web-1": "n1"},
        protocol="udp",
        option=MASQUERADE_ALL,
    ),
    Flow(
        "masqueradeAll leaves the outside client's address to external policy Local",
        "client",
        "n1:30083",
        {"web-0": "client"},
        option=MASQUERADE_ALL,
        blind="web-0 web-1",
    ),
    Flow(
        "masqueradeAll does not touch what dials a pod directly",
        "dialer-3",
        "web-0:8080",
        {"web-0": "dialer-3"},
        option=MASQUERADE_ALL,
    ),
    Flow(
        "node ports on primary addresses answer there",
        "client",
        "n1:30081",
        {"web-0": "n1"},
        option=PRIMARY_NODE_PORTS,
    ),
    Flow(
        "node ports on primary addresses do not answer on another",
        "client",
        "n1-second:30081",
        otherwise=UNTOUCHED,
        option=PRIMARY_NODE_PORTS,
        deviates=_NO_SUCH_OPTION,
    ),
    Flow(
        "node ports on primary addresses do not answer on the loopback's",
        "n1",
        "loopback:30081",
        otherwise=UNTOUCHED,
        option=PRIMARY_NODE_PORTS,
        deviates=_NO_SUCH_OPTION,
    ),
)
