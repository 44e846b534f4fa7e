"""Chain names of kube-proxy's iptables mode: a function of what they name, equal on every node.

Source: `portProtoHash` and `servicePortEndpointChainName` in
kubernetes/pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from functools import lru_cache

from testbed.proxy.digest import sixteen_characters

CLUSTER_POLICY = "KUBE-SVC-"
LOCAL_POLICY = "KUBE-SVL-"
EXTERNAL = "KUBE-EXT-"
FIREWALL = "KUBE-FW-"
ENDPOINT = "KUBE-SEP-"

_REMEMBERED = 1 << 17


def service_port_name(namespace: str, name: str, port_name: str) -> str:
    """`namespace/name:port`, or `namespace/name` where the port has no name."""
    return f"{namespace}/{name}:{port_name}" if port_name else f"{namespace}/{name}"


@lru_cache(maxsize=_REMEMBERED)
def service_suffix(service_port: str, protocol: str) -> str:
    """The 16 characters after KUBE-SVC-, KUBE-SVL-, KUBE-EXT- and KUBE-FW-; `protocol` in lower
    case.
    """
    return sixteen_characters(service_port + protocol)


def endpoint_chain(service_port: str, protocol: str, endpoint: str) -> str:
    """KUBE-SEP-… of one endpoint, `ip:port`, of one service port."""
    return ENDPOINT + sixteen_characters(service_port + protocol + endpoint)
