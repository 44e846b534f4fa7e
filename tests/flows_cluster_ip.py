"""Rows: cluster IPs, several ports, protocols, hairpin, what no rule is for."""

from __future__ import annotations

from tests.flow import DROPPED, POD_PORT, REFUSED, UNTOUCHED, Deviation, Flow

KEPT = {"web-0": "dialer-3", "web-1": "dialer-3"}
"""Both pods of a service see the pod that dials."""

_UNDEFINED = "packets to a port that a service does not have are rejected; elsewhere routes decide"
UNDEFINED_PORT = {
    "nftables": Deviation(_UNDEFINED, otherwise=REFUSED, documented=True),
    "ipvs": Deviation(_UNDEFINED, otherwise=REFUSED, issue="72236", documented=True),
}
UNALLOCATED = {
    "nftables": Deviation(
        "packets to an address of the service CIDR that no service has are dropped",
        otherwise=DROPPED,
        documented=True,
    )
}

CLUSTER_IP_FLOWS = (
    Flow(
        "a pod on a node without a backend reaches the service by its full name",
        "dialer-3",
        "web.flows.svc.cluster.local:80",
        KEPT,
    ),
    Flow(
        "a pod on a node without a backend reaches the cluster IP, its address kept",
        "dialer-3",
        "web:80",
        KEPT,
    ),
    Flow(
        "a pod beside a backend reaches all backends alike, its address kept",
        "dialer-1",
        "web:80",
        {"web-0": "dialer-1", "web-1": "dialer-1"},
    ),
    Flow(
        "a node without a backend reaches the cluster IP",
        "n3",
        "web:80",
        {"web-0": "n3", "web-1": "n3"},
    ),
    Flow("a node beside a backend reaches the cluster IP", "n1", "solo:80", {"web-0": "n1"}),
    Flow(
        "a node reaches a backend on another node through the cluster IP",
        "n2",
        "solo:80",
        {"web-0": "n2"},
    ),
    Flow(
        "a packet from outside that a node routes to a cluster IP is masqueraded",
        "client",
        "web:80",
        {"web-0": "n1", "web-1": "n1"},
        via="n1",
    ),
    Flow(
        "so is one that a node without a backend routes",
        "client",
        "solo:80",
        {"web-0": "n3"},
        via="n3",
    ),
    Flow(
        "each of four backends in two slices is reached once, a duplicate's terminating half ignored",
        "dialer-3",
        "everywhere:80",
        {"web-0": "dialer-3", "web-1": "dialer-3", "web-2": "dialer-3", "web-3": "dialer-3"},
    ),
    Flow(
        "a service of IPv4 alone has its IPv4 address",
        "dialer-3",
        "only-4:80",
        {"web-0": "dialer-3"},
        families=(4,),
    ),
    Flow(
        "a service of IPv6 alone has its IPv6 address",
        "dialer-3",
        "only-6:80",
        {"web-0": "dialer-3"},
        families=(6,),
    ),
    Flow(
        "a pod reached directly sees the client",
        "dialer-3",
        f"web-0:{POD_PORT}",
        {"web-0": "dialer-3"},
    ),
    Flow("a node reaches a pod directly", "n3", f"web-1:{POD_PORT}", {"web-1": "n3"}),
)

PORT_FLOWS = (
    Flow(
        "the first port of two leads to its own endpoints",
        "dialer-3",
        "multi:80",
        {"web-0": "dialer-3"},
    ),
    Flow(
        "the second port of two leads to its own endpoints",
        "dialer-3",
        "multi:81",
        {"web-1": "dialer-3"},
    ),
    Flow(
        "one number, two protocols: the UDP one",
        "dialer-3",
        "dns:53",
        {"web-0": "dialer-3"},
        protocol="udp",
    ),
    Flow("one number, two protocols: the TCP one", "dialer-3", "dns:53", {"web-1": "dialer-3"}),
    Flow(
        "a port that the service does not have is nobody's",
        "dialer-3",
        "multi:82",
        otherwise=UNTOUCHED,
        deviates=UNDEFINED_PORT,
    ),
    Flow(
        "a port that the service does not have is nobody's for a node either",
        "n3",
        "multi:82",
        otherwise=UNTOUCHED,
        deviates=UNDEFINED_PORT,
    ),
    Flow(
        "a service's node port is no port of its cluster IP",
        "dialer-3",
        "web:30080",
        otherwise=UNTOUCHED,
        deviates=UNDEFINED_PORT,
    ),
    Flow(
        "the pods' port is no port of the cluster IP",
        "dialer-3",
        f"web:{POD_PORT}",
        otherwise=UNTOUCHED,
        deviates=UNDEFINED_PORT,
    ),
    Flow(
        "a TCP service does not answer UDP",
        "dialer-3",
        "web:80",
        otherwise=UNTOUCHED,
        protocol="udp",
        deviates=UNDEFINED_PORT,
    ),
)

HAIRPIN_FLOWS = (
    Flow(
        "a pod that dials its own service and gets itself sees its node",
        "web-0",
        "solo:80",
        {"web-0": "n1"},
    ),
    Flow(
        "a pod that dials its own service is masqueraded towards itself only",
        "web-0",
        "web:80",
        {"web-0": "n1", "web-1": "web-0"},
    ),
    Flow(
        "a pod that dials its own service's node port sees its node",
        "web-0",
        "n1:30081",
        {"web-0": "n1"},
    ),
    Flow(
        "a pod that dials its own service's node port on another node is masqueraded there",
        "web-0",
        "n3:30081",
        {"web-0": "n3"},
    ),
    Flow(
        "a pod that dials its own service's external IP sees its node",
        "web-0",
        "outward-ip:80",
        {"web-0": "n1", "web-1": "n1"},
    ),
    Flow(
        "a pod that dials its own service's load balancer sees its node",
        "web-1",
        "balanced-lb:80",
        {"web-0": "n2", "web-1": "n2"},
    ),
    Flow(
        "a pod that dials its own service by UDP and gets itself sees its node",
        "web-0",
        "datagram:53",
        {"web-0": "n1", "web-1": "web-0"},
        protocol="udp",
    ),
    Flow(
        "a pod that internal policy Local leads to itself sees its node",
        "web-0",
        "internal:80",
        {"web-0": "n1"},
        blind="web-0 web-1",
    ),
)

UDP_FLOWS = (
    Flow(
        "a pod reaches a UDP service, its address kept",
        "dialer-3",
        "datagram:53",
        KEPT,
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
        "a node reaches a UDP service",
        "n3",
        "datagram:53",
        {"web-0": "n3", "web-1": "n3"},
        protocol="udp",
    ),
    Flow(
        "an outside client reaches a UDP node port",
        "client",
        "n3:30053",
        {"web-0": "n3", "web-1": "n3"},
        protocol="udp",
    ),
    Flow(
        "a UDP service does not answer TCP",
        "dialer-3",
        "datagram:53",
        otherwise=UNTOUCHED,
        deviates=UNDEFINED_PORT,
    ),
)

SCTP_FLOWS = (
    Flow(
        "a pod reaches an SCTP service, its address kept",
        "dialer-3",
        "stream:90",
        KEPT,
        protocol="sctp",
    ),
    Flow(
        "a node reaches an SCTP service",
        "n3",
        "stream:90",
        {"web-0": "n3", "web-1": "n3"},
        protocol="sctp",
    ),
    Flow(
        "an outside client reaches an SCTP node port",
        "client",
        "n3:30090",
        {"web-0": "n3", "web-1": "n3"},
        protocol="sctp",
    ),
    Flow(
        "a pod that dials its own SCTP service and gets itself sees its node",
        "web-0",
        "stream:90",
        {"web-0": "n1", "web-1": "web-0"},
        protocol="sctp",
    ),
    Flow(
        "an SCTP service does not answer TCP",
        "dialer-3",
        "stream:90",
        otherwise=UNTOUCHED,
        deviates=UNDEFINED_PORT,
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
        "unused:80",
        otherwise=UNTOUCHED,
        deviates=UNALLOCATED,
    ),
    Flow(
        "a cluster IP that no service has is nobody's for a node either",
        "n1",
        "unused:80",
        otherwise=UNTOUCHED,
        deviates=UNALLOCATED,
    ),
    Flow(
        "another proxy's service is left alone",
        "dialer-3",
        "foreign:80",
        otherwise=UNTOUCHED,
        deviates=UNALLOCATED,
    ),
)
