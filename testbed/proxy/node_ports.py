"""Which of a node's addresses node ports answer on (`--nodeport-addresses`)."""

from __future__ import annotations

from testbed.proxy.family import contains
from testbed.proxy.table import ForwardingTable

PRIMARY = "primary"
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}


def node_port_ips(table: ForwardingTable) -> tuple[str, ...] | None:
    """The addresses of the node that the configuration selects, the loopback's among them where a
    CIDR holds it; None: all that the node has.

    CIDRs of the other family select nothing, as with kube-proxy, unless there are no others.
    """
    chosen, family = table.config.node_port_addresses, table.config.family
    if PRIMARY in chosen:
        return table.node_ips
    cidrs = [cidr for cidr in chosen if (":" in cidr) == (family == 6)]
    if not cidrs or any(cidr.endswith("/0") for cidr in cidrs):
        return None
    return tuple(ip for ip in (_LOOPBACK[family], *table.node_ips) if contains(cidrs, [ip]))
