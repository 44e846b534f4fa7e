"""The physical network under a cluster: machines on one switch, plain routes between nodes (`host-gw`)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.model.addressing import AddressPlan

BRIDGE = "br0"
ANYWHERE = IPv4Network("0.0.0.0/0")
UPLINK = "eth0"
UPLINK_INDEX = 2
"""ifindex of a machine's `eth0`; `lo` is 1."""
FIRST_POD_INDEX = 100
"""Pod links of a node are numbered from here."""

NODE_SYSCTLS = (
    # All machines share one link, so a node often forwards out of the link that a packet came in by; it does
    # not tell the sender of a shorter way, which would bypass the node's rules.
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/ip_forward", "1"),
    # Replies of a service leave by the link that routing says, not by where the request came in.
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
)
END_SYSCTLS = (
    # One SYN retry schedule on every kernel: 6.18 retries each second at first, 6.1 doubles.
    ("ipv4/tcp_syn_linear_timeouts", "0"),
)
SWITCH_SYSCTLS = (
    # A switch has no rules: bridged packets must not meet iptables.
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
)


@dataclass(frozen=True, slots=True)
class Route:
    """To `destination` by the machine at `via`."""

    destination: IPv4Network
    via: IPv4Address


@dataclass(frozen=True, slots=True)
class Machine:
    """A node or an outside host: one namespace, one link to the switch."""

    name: str
    kind: str
    """node or host."""
    address: IPv4Interface
    mac: str
    port: str
    """Its port's interface name on the switch."""
    pod_cidr: IPv4Network | None
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Fabric:
    """All machines on one switch, which is the nodes' default gateway too.

    Without a default route a node could not dial a cluster address: routing comes before the rules.
    """

    mtu: int
    gateway: IPv4Interface
    machines: tuple[Machine, ...]


def plan(addresses: AddressPlan, machines: IPv4Network, mtu: int) -> Fabric:
    """The fabric of an address plan in the network `machines`, whose first address is the gateway's.

    Every node routes the other nodes' pods to the other nodes.

    Outside hosts have no route to pods or services: they reach node addresses only.
    """
    prefix = addresses.node_prefix
    gateway = IPv4Interface((machines[1], prefix))
    nodes = [
        Machine(
            name=name,
            kind="node",
            address=IPv4Interface(f"{node.ip}/{prefix}"),
            mac=_mac(IPv4Address(node.ip)),
            port=f"port-n{number}",
            pod_cidr=IPv4Network(node.pod_cidr),
            routes=(
                Route(ANYWHERE, gateway.ip),
                *(
                    Route(IPv4Network(other.pod_cidr), IPv4Address(other.ip))
                    for other_name, other in addresses.nodes.items()
                    if other_name != name
                ),
            ),
        )
        for number, (name, node) in enumerate(addresses.nodes.items(), 1)
    ]
    hosts = [
        Machine(
            name=name,
            kind="host",
            address=IPv4Interface(f"{host.ip}/{prefix}"),
            mac=_mac(IPv4Address(host.ip)),
            port=f"port-h{number}",
            pod_cidr=None,
            routes=(),
        )
        for number, (name, host) in enumerate(addresses.hosts.items(), 1)
    ]
    return Fabric(mtu, gateway, (*nodes, *hosts))


def _mac(address: IPv4Address) -> str:
    return "02:01:" + ":".join(f"{byte:02x}" for byte in address.packed)
