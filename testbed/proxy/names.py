"""Chain names of kube-proxy's iptables mode: a function of what they name, equal on every node.

Source: `portProtoHash` and `servicePortEndpointChainName` in
kubernetes/pkg/proxy/iptables/proxier.go.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

CLUSTER_POLICY = "KUBE-SVC-"
LOCAL_POLICY = "KUBE-SVL-"
EXTERNAL = "KUBE-EXT-"
FIREWALL = "KUBE-FW-"
ENDPOINT = "KUBE-SEP-"

_REMEMBERED = 1 << 17

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
"""Two characters of base32 for every ten bits: base64.b32encode takes three times as long, and a large
cluster has a hundred thousand names."""


def service_port_name(namespace: str, name: str, port_name: str) -> str:
    """`namespace/name:port`, or `namespace/name` where the port has no name."""
    return f"{namespace}/{name}:{port_name}" if port_name else f"{namespace}/{name}"


@lru_cache(maxsize=_REMEMBERED)
def service_suffix(service_port: str, protocol: str) -> str:
    """The 16 characters after KUBE-SVC-, KUBE-SVL-, KUBE-EXT- and KUBE-FW-; `protocol` in lower
    case.
    """
    return _suffix(service_port + protocol)


def endpoint_chain(service_port: str, protocol: str, endpoint: str) -> str:
    """KUBE-SEP-… of one endpoint, `ip:port`, of one service port."""
    return ENDPOINT + _suffix(service_port + protocol + endpoint)


def _suffix(text: str) -> str:
    """The first 16 characters of the digest in base32: they spell 10 bytes."""
    bits, pairs = int.from_bytes(sha256(text.encode()).digest()[:10]), _PAIRS
    return (
        f"{pairs[bits >> 70]}{pairs[bits >> 60 & 1023]}{pairs[bits >> 50 & 1023]}"
        f"{pairs[bits >> 40 & 1023]}{pairs[bits >> 30 & 1023]}{pairs[bits >> 20 & 1023]}"
        f"{pairs[bits >> 10 & 1023]}{pairs[bits & 1023]}"
    )
