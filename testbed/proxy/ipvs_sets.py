"""The ipsets of kube-proxy's IPVS mode: what they are called, what they hold, how an entry is spelled.

Source: `ipsetInfo` in kubernetes/pkg/proxy/ipvs/proxier.go.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

_IP_PORT = "hash:ip,port"
_PORT = "bitmap:port"
_LONGEST_NAME = 31


class Set(StrEnum):
    """A set, by its IPv4 name."""

    LOOP_BACK = "KUBE-LOOP-BACK"
    CLUSTER_IP = "KUBE-CLUSTER-IP"
    EXTERNAL_IP = "KUBE-EXTERNAL-IP"
    EXTERNAL_IP_LOCAL = "KUBE-EXTERNAL-IP-LOCAL"
    LOAD_BALANCER = "KUBE-LOAD-BALANCER"
    LOAD_BALANCER_FW = "KUBE-LOAD-BALANCER-FW"
    LOAD_BALANCER_LOCAL = "KUBE-LOAD-BALANCER-LOCAL"
    LOAD_BALANCER_SOURCE_IP = "KUBE-LOAD-BALANCER-SOURCE-IP"
    LOAD_BALANCER_SOURCE_CIDR = "KUBE-LOAD-BALANCER-SOURCE-CIDR"
    NODE_PORT_TCP = "KUBE-NODE-PORT-TCP"
    NODE_PORT_LOCAL_TCP = "KUBE-NODE-PORT-LOCAL-TCP"
    NODE_PORT_UDP = "KUBE-NODE-PORT-UDP"
    NODE_PORT_LOCAL_UDP = "KUBE-NODE-PORT-LOCAL-UDP"
    NODE_PORT_SCTP = "KUBE-NODE-PORT-SCTP-HASH"
    NODE_PORT_LOCAL_SCTP = "KUBE-NODE-PORT-LOCAL-SCTP-HASH"
    HEALTH_CHECK_NODE_PORT = "KUBE-HEALTH-CHECK-NODE-PORT"
    IPVS_IPS = "KUBE-IPVS-IPS"
    NO_LOCAL = "KUBE-NO-LOCAL-ENDPOINTS"
    """Ours, of profile `documented`: cluster IPs whose policy Local finds no endpoint on this node."""
    NO_LOCAL_EXTERNAL = "KUBE-NO-LOCAL-EXTERNAL"
    """The same of external addresses and node ports: only who is inside the cluster is served there."""


_TYPES = MappingProxyType(
    {
        Set.LOOP_BACK: "hash:ip,port,ip",
        Set.CLUSTER_IP: _IP_PORT,
        Set.EXTERNAL_IP: _IP_PORT,
        Set.EXTERNAL_IP_LOCAL: _IP_PORT,
        Set.LOAD_BALANCER: _IP_PORT,
        Set.LOAD_BALANCER_FW: _IP_PORT,
        Set.LOAD_BALANCER_LOCAL: _IP_PORT,
        Set.LOAD_BALANCER_SOURCE_IP: "hash:ip,port,ip",
        Set.LOAD_BALANCER_SOURCE_CIDR: "hash:ip,port,net",
        Set.NODE_PORT_TCP: _PORT,
        Set.NODE_PORT_LOCAL_TCP: _PORT,
        Set.NODE_PORT_UDP: _PORT,
        Set.NODE_PORT_LOCAL_UDP: _PORT,
        Set.NODE_PORT_SCTP: _IP_PORT,
        Set.NODE_PORT_LOCAL_SCTP: _IP_PORT,
        Set.HEALTH_CHECK_NODE_PORT: _PORT,
        Set.IPVS_IPS: "hash:ip",
        Set.NO_LOCAL: _IP_PORT,
        Set.NO_LOCAL_EXTERNAL: _IP_PORT,
    }
)

COMMENTS = MappingProxyType(
    {
        Set.LOOP_BACK: "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
        Set.CLUSTER_IP: "Kubernetes service cluster ip + port for masquerade purpose",
        Set.EXTERNAL_IP: "Kubernetes service external ip + port for masquerade and filter purpose",
        Set.EXTERNAL_IP_LOCAL: (
            "Kubernetes service external ip + port with externalTrafficPolicy=local"
        ),
        Set.LOAD_BALANCER: "Kubernetes service lb portal",
        Set.LOAD_BALANCER_FW: (
            "Kubernetes service load balancer ip + port for load balancer with sourceRange"
        ),
        Set.LOAD_BALANCER_LOCAL: (
            "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"
        ),
        Set.LOAD_BALANCER_SOURCE_IP: (
            "Kubernetes service load balancer ip + port + source IP for packet filter purpose"
        ),
        Set.LOAD_BALANCER_SOURCE_CIDR: (
            "Kubernetes service load balancer ip + port + source cidr for packet filter purpose"
        ),
        Set.NODE_PORT_TCP: "Kubernetes nodeport TCP port for masquerade purpose",
        Set.NODE_PORT_LOCAL_TCP: "Kubernetes nodeport TCP port with externalTrafficPolicy=local",
        Set.NODE_PORT_UDP: "Kubernetes nodeport UDP port for masquerade purpose",
        Set.NODE_PORT_LOCAL_UDP: "Kubernetes nodeport UDP port with externalTrafficPolicy=local",
        Set.NODE_PORT_SCTP: (
            r"Kubernetes nodeport SCTP port for masquerade purpose with type \'hash ip:port\'"
        ),
        Set.NODE_PORT_LOCAL_SCTP: (
            "Kubernetes nodeport SCTP port with externalTrafficPolicy=local"
            r" with type \'hash ip:port\'"
        ),
        Set.HEALTH_CHECK_NODE_PORT: "Kubernetes health check node port",
    }
)
"""What kube-proxy's rules say about the sets that they match, quoted as iptables-save quotes."""

NODE_PORTS = MappingProxyType(
    {
        "tcp": (Set.NODE_PORT_TCP, Set.NODE_PORT_LOCAL_TCP),
        "udp": (Set.NODE_PORT_UDP, Set.NODE_PORT_LOCAL_UDP),
        "sctp": (Set.NODE_PORT_SCTP, Set.NODE_PORT_LOCAL_SCTP),
    }
)
"""Protocol -> the set of its node ports, and that of those with policy Local."""


def sets_of(documented: bool) -> tuple[Set, ...]:
    """The sets of a profile."""
    return tuple(one for one in Set if documented or one not in _DOCUMENTED_ONLY)


_DOCUMENTED_ONLY = frozenset({Set.NO_LOCAL, Set.NO_LOCAL_EXTERNAL})


def set_name(one: Set, family: int) -> str:
    """The set's name in an IP family: both families' sets live in one namespace."""
    return one.value if family == 4 else f"KUBE-6-{one.value[5:]}"[:_LONGEST_NAME]


def family_of(name: str) -> int:
    """The IP family of a set of ours by its name; 0: it is not ours."""
    return _FAMILIES.get(name, 0)


_FAMILIES = {set_name(one, family): family for one in Set for family in (4, 6)}


def creation(one: Set, family: int) -> str:
    """The line of `ipset restore` that makes the set, without what the kernel chooses itself."""
    kind = _TYPES[one]
    if kind == _PORT:
        return f"create {set_name(one, family)} {kind} range 0-65535"
    return f"create {set_name(one, family)} {kind} family {'inet' if family == 4 else 'inet6'}"


def matching(one: Set) -> str:
    """What of a packet is looked up in the set, as `--match-set` has it."""
    kind = _TYPES[one]
    if kind in {_PORT, "hash:ip"}:
        return "dst"
    return "dst,dst" if kind == _IP_PORT else "dst,dst,src"


def network_text(cidr: str) -> str:
    """A source range as the kernel prints it: a single address bare."""
    return cidr.removesuffix("/128" if ":" in cidr else "/32")
