"""Names of chains and sets in kube-proxy's nftables mode: a hash, then what they are named after.

Source: `servicePortChainNameBase` and `servicePortEndpointChainNameBase` in
kubernetes/pkg/proxy/nftables/proxier.go.
"""

from __future__ import annotations

from functools import lru_cache

from testbed.proxy.digest import eight_characters

SERVICE = "service-"
"""Picks among the endpoints of traffic policy Cluster."""
LOCAL = "local-"
"""Picks among those of this node."""
EXTERNAL = "external-"
"""What comes for an external address or a node port."""
FIREWALL = "firewall-"
"""Drops whoever is not in loadBalancerSourceRanges."""
ENDPOINT = "endpoint-"
AFFINITY = "affinity-"

_LONGEST = 240
_REMEMBERED = 1 << 17


@lru_cache(maxsize=_REMEMBERED)
def port_base(namespace: str, service: str, port_name: str, protocol: str) -> str:
    """What follows the prefix in the names of a service port; `protocol` in lower case."""
    return _hashed(f"{namespace}/{service}/{protocol}/{port_name}")


def endpoint_base(port: tuple[str, str, str, str], ip: str, number: int) -> str:
    """What follows the prefix in the names of an endpoint of a port (arguments of `port_base`).

    A name in nft cannot hold a colon: those of an IPv6 address become full stops.
    """
    namespace, service, port_name, protocol = port
    address = ip.replace(":", ".")
    return _hashed(f"{namespace}/{service}/{protocol}/{port_name}__{address}/{number}")


def port_of(block: str) -> str:
    """`namespace/service/protocol/port` of whatever a service port has; "" for what is of none."""
    _, _, name = block.partition("-")
    text = name.partition("-")[2].partition("__")[0]
    return text if "/" in text else ""


def _hashed(text: str) -> str:
    name = f"{eight_characters(text)}-{text}"
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
