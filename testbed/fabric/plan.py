"""The physical network under a cluster: machines on one switch."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_interface

from testbed.ip import ANYWHERE, IPAddress, IPInterface, IPNetwork
from testbed.model.addressing import AddressPlan

BRIDGE = "br0"
UPLINK = "eth0"
UPLINK_INDEX = 64
"""ifindex of a machine's `eth0`: above those that the kernel gives out by itself."""

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
NODE_SYSCTLS_IPV6 = (("ipv6/conf/all/forwarding", "1"), ("ipv6/conf/default/forwarding", "1"))
NO_IPV6 = (("ipv6/conf/all/disable_ipv6", "1"),)
"""Of every namespace in a lab without IPv6. The kernel sets `default` along with `all`: links to come are
meant, too."""
IPV6 = tuple(
    (f"ipv6/conf/{which}/{name}", value)
    for which in ("all", "default")
    for name, value in (
        ("disable_ipv6", "0"),
        # A tentative address answers nobody: duplicate detection would cost every pod 1 to 2 s, and
        # all addresses are given by plan.
        ("accept_dad", "0"),
        ("dad_transmits", "0"),
        # Nobody advertises routes here, and link-local addresses are given where they are needed.
        ("accept_ra", "0"),
        ("router_solicitations", "0"),
        ("addr_gen_mode", "1"),
    )
)
"""Of every namespace in a lab with IPv6."""
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

    destination: IPNetwork
    via: IPAddress


@dataclass(frozen=True, slots=True)
class Machine:
    """A node or an outside host: one namespace, one link to the switch."""

    name: str
    kind: str
    """node or host."""
    addresses: tuple[IPInterface, ...]
    """One per IP family."""
    mac: str
    port: str
    """Its port's interface name on the switch."""
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Fabric:
    """All machines on one switch, which is the nodes' default gateway too. Fake nodes are none.

    Without a default route a node could not dial a cluster address: routing comes before the rules.
    """

    mtu: int
    gateways: tuple[IPInterface, ...]
    """One per IP family."""
    machines: tuple[Machine, ...]


def plan(addresses: AddressPlan, mtu: int) -> Fabric:
    """The fabric of an address plan; the first address of the machines' network is the gateway's.

    Pods are no concern of it: how nodes reach those of others is the pod network's (`podnet`). What has no
    route there goes to the switch, which forwards nothing: whoever asks a fake node's pods waits in vain.

    Outside hosts have no route to pods or services: they reach node addresses only.
    """
    prefixes = tuple(network.prefixlen for network in addresses.networks)
    gateways = tuple(
        ip_interface((network[1], network.prefixlen)) for network in addresses.networks
    )
    defaults = tuple(Route(ANYWHERE[gateway.version], gateway.ip) for gateway in gateways)
    live = {name: node for name, node in addresses.nodes.items() if not node.fake}
    nodes = [
        Machine(
            name=name,
            kind="node",
            addresses=_interfaces(node.ips, prefixes),
            mac=_mac(ip_address(node.ips[0]), host=False),
            port=f"port-n{number}",
            routes=defaults,
        )
        for number, (name, node) in enumerate(live.items(), 1)
    ]
    hosts = [
        Machine(
            name=name,
            kind="host",
            addresses=_interfaces(host.ips, prefixes),
            mac=_mac(ip_address(host.ips[0]), host=True),
            port=f"port-h{number}",
            routes=(),
        )
        for number, (name, host) in enumerate(addresses.hosts.items(), 1)
    ]
    return Fabric(mtu, gateways, (*nodes, *hosts))


def _interfaces(ips: tuple[str, ...], prefixes: tuple[int, ...]) -> tuple[IPInterface, ...]:
    return tuple(ip_interface(f"{ip}/{prefix}") for ip, prefix in zip(ips, prefixes, strict=True))


def link_local(mac: str) -> IPInterface:
    """The link-local address that a MAC address stands for (RFC 4291, appendix A). A machine that forwards
    asks for its neighbours from it.
    """
    first, *rest = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]])
    return ip_interface((IPv6Address(b"\xfe\x80" + bytes(6) + identifier), 64))


def _mac(address: IPAddress, *, host: bool) -> str:
    """Of an IPv4 address all four bytes; of an IPv6 one the last 31 bits, as hosts are a half apart."""
    number = int(address)
    if address.version == 6:
        number = number % 2**31 + 2**31 * host
    return "02:01:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(4))
