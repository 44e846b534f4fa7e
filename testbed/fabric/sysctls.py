"""What namespaces ask of the kernel, by the part that they play."""

from __future__ import annotations

Sysctls = tuple[tuple[str, str], ...]

STAYS_OUT: Sysctls = (
    # A new namespace takes over what the host's own has.
    ("ipv4/ip_forward", "0"),
)
"""Of outside hosts and switches: they pass no packets on between networks."""
NODE: Sysctls = (
    # All machines share one link, so a node often forwards out of the link that a packet came in by; it does
    # not tell the sender of a shorter way, which would bypass the node's rules.
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/ip_forward", "1"),
    # Replies of a service leave by the link that routing says, not by where the request came in.
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
)
"""Of nodes and routers."""
NODE_IPV6: Sysctls = (("ipv6/conf/all/forwarding", "1"), ("ipv6/conf/default/forwarding", "1"))
LINKED: Sysctls = (
    # A reply may come in by another of the links.
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    # Of several equal ways each flow takes one, by addresses and ports, as data-centre switches do.
    ("ipv4/fib_multipath_hash_policy", "1"),
    # A next hop whose link is cut is none: its flows move to the others.
    ("ipv4/conf/all/ignore_routes_with_linkdown", "1"),
    ("ipv4/conf/default/ignore_routes_with_linkdown", "1"),
)
"""Of every machine where the topology says `links`."""
LINKED_IPV6: Sysctls = (
    ("ipv6/fib_multipath_hash_policy", "1"),
    ("ipv6/conf/all/ignore_routes_with_linkdown", "1"),
    ("ipv6/conf/default/ignore_routes_with_linkdown", "1"),
    # A cut link keeps its addresses, as IPv4 does.
    ("ipv6/conf/all/keep_addr_on_down", "1"),
    ("ipv6/conf/default/keep_addr_on_down", "1"),
)
NO_IPV6: Sysctls = (("ipv6/conf/all/disable_ipv6", "1"),)
"""Of every namespace in a lab without IPv6. The kernel sets `default` along with `all`: links to come are
meant, too."""
IPV6: Sysctls = tuple(
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
END: Sysctls = (
    # One SYN retry schedule on every kernel: 6.18 retries each second at first, 6.1 doubles.
    ("ipv4/tcp_syn_linear_timeouts", "0"),
)
"""Of every namespace in which somebody dials."""
SWITCH: Sysctls = (
    # A switch has no rules: bridged packets must not meet iptables.
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
)
