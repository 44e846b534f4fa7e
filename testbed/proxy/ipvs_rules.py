"""The iptables rules of kube-proxy's IPVS mode. Services do not change them: they look into ipsets.

The rules of a set are there only while the set has entries, as kube-proxy leaves them out.

Source: `writeIptablesRules` and `iptablesJumpChain` in kubernetes/pkg/proxy/ipvs/proxier.go (1.36).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from testbed.proxy.ipvs_sets import COMMENTS, NODE_PORTS, Set, matching, set_name
from testbed.proxy.ruleset import Chains

_SERVICES = "KUBE-SERVICES"
_NODE_PORT = "KUBE-NODE-PORT"
_LOAD_BALANCER = "KUBE-LOAD-BALANCER"
_MARK_MASQ = "KUBE-MARK-MASQ"
_POSTROUTING = "KUBE-POSTROUTING"
_FORWARD = "KUBE-FORWARD"
_FIREWALL = "KUBE-PROXY-FIREWALL"
_SOURCE_RANGES = "KUBE-SOURCE-RANGES-FIREWALL"
_FILTER = "KUBE-IPVS-FILTER"
_OUT_FILTER = "KUBE-IPVS-OUT-FILTER"
_CLUSTER_TRAFFIC = "KUBE-CLUSTER-TRAFFIC"
"""Ours, of profile `documented`: external policy Local does not bind who is inside the cluster."""

_FROM_ELSEWHERE = "-m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL"


def _jump(chain: str, comment: str, to: str) -> str:
    return f'-A {chain} -m comment --comment "{comment}" -j {to}'


_NAT_JUMPS: Chains = {
    "PREROUTING": (_jump("PREROUTING", "kubernetes service portals", _SERVICES),),
    "OUTPUT": (_jump("OUTPUT", "kubernetes service portals", _SERVICES),),
    "POSTROUTING": (_jump("POSTROUTING", "kubernetes postrouting rules", _POSTROUTING),),
}

_FILTER_JUMPS: Chains = {
    "INPUT": (
        _jump("INPUT", "kubernetes ipvs access filter", _FILTER),
        _jump("INPUT", "kube-proxy firewall rules", _FIREWALL),
        _jump("INPUT", "kubernetes health check rules", _NODE_PORT),
    ),
    "FORWARD": (
        _jump("FORWARD", "kube-proxy firewall rules", _FIREWALL),
        _jump("FORWARD", "kubernetes forwarding rules", _FORWARD),
    ),
    "OUTPUT": (_jump("OUTPUT", "kubernetes ipvs access filter", _OUT_FILTER),),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules depend on."""

    family: int
    cluster_cidr: str
    masquerade_all: bool
    filled: Container[str]
    """Names of the sets that have entries."""
    denied: tuple[str, ...]
    """Rules of KUBE-IPVS-OUT-FILTER without their chain."""
    short: tuple[tuple[str, str], ...]
    """What KUBE-CLUSTER-TRAFFIC matches, and its target; empty but in profile `documented`."""


def nat_chains(facts: Facts) -> Chains:
    """Table nat: who is masqueraded."""
    chains: dict[str, tuple[str, ...]] = {
        _MARK_MASQ: (f"-A {_MARK_MASQ} -j MARK --set-xmark 0x4000/0x4000",),
        _POSTROUTING: (
            # A pod that dials its own service must see a foreign source.
            *_matching(facts, _POSTROUTING, Set.LOOP_BACK, "MASQUERADE"),
            f"-A {_POSTROUTING} -m mark ! --mark 0x4000/0x4000 -j RETURN",
            # The mark must not outlive the packet's way through this stack (a tunnel would copy it).
            f"-A {_POSTROUTING} -j MARK --set-xmark 0x4000/0x0",
            f'-A {_POSTROUTING} -m comment --comment "kubernetes service traffic requiring SNAT"'
            " -j MASQUERADE --random-fully",
        ),
        _LOAD_BALANCER: (
            *_matching(facts, _LOAD_BALANCER, Set.LOAD_BALANCER_LOCAL, "RETURN"),
            f"-A {_LOAD_BALANCER} -j {_MARK_MASQ}",
        ),
        _NODE_PORT: tuple(_node_ports(facts)),
    }
    if facts.short:
        chains[_CLUSTER_TRAFFIC] = tuple(_cluster_traffic(facts))
    chains[_SERVICES] = tuple(_services(facts))
    return {**chains, **_NAT_JUMPS}


def filter_chains(facts: Facts) -> Chains:
    """Table filter: who is let through, and what of the node a service address must not open."""
    health = set_name(Set.HEALTH_CHECK_NODE_PORT, facts.family)
    return {
        _FORWARD: (
            f'-A {_FORWARD} -m comment --comment "kubernetes forwarding rules" -m mark'
            " --mark 0x4000/0x4000 -j ACCEPT",
            f'-A {_FORWARD} -m comment --comment "kubernetes forwarding conntrack rule"'
            " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        ),
        _NODE_PORT: (
            f'-A {_NODE_PORT} -m comment --comment "{COMMENTS[Set.HEALTH_CHECK_NODE_PORT]}"'
            f" -m set --match-set {health} dst -j ACCEPT",
        ),
        _SOURCE_RANGES: (
            *_matching(facts, _SOURCE_RANGES, Set.LOAD_BALANCER_SOURCE_CIDR, "RETURN"),
            *_matching(facts, _SOURCE_RANGES, Set.LOAD_BALANCER_SOURCE_IP, "RETURN"),
            f"-A {_SOURCE_RANGES} -j DROP",
        ),
        _FIREWALL: (
            *_matching(facts, _FIREWALL, Set.LOAD_BALANCER_FW, _SOURCE_RANGES),
            *_no_local(facts),
        ),
        _FILTER: tuple(_access_filter(facts)),
        _OUT_FILTER: tuple([f"-A {_OUT_FILTER} {rule}" for rule in facts.denied]),
        **_FILTER_JUMPS,
    }


def _is_filled(facts: Facts, one: Set) -> bool:
    return set_name(one, facts.family) in facts.filled


def _lookup(facts: Facts, one: Set) -> str:
    comment = f'-m comment --comment "{COMMENTS[one]}" ' if one in COMMENTS else ""
    return f"{comment}-m set --match-set {set_name(one, facts.family)} {matching(one)}"


def _matching(facts: Facts, chain: str, one: Set, target: str) -> Iterable[str]:
    """The rule for what is in a set, where anything is."""
    if _is_filled(facts, one):
        yield f"-A {chain} {_lookup(facts, one)} -j {target}"


def _services(facts: Facts) -> Iterable[str]:
    if facts.short:
        yield f"-A {_SERVICES} -j {_CLUSTER_TRAFFIC}"
    loopback = "127.0.0.0/8" if facts.family == 4 else "::1/128"
    yield f"-A {_SERVICES} -s {loopback} -j RETURN"
    yield from _matching(facts, _SERVICES, Set.LOAD_BALANCER, _LOAD_BALANCER)
    yield from _cluster_ips(facts)
    if _is_filled(facts, Set.EXTERNAL_IP):
        yield from _matching(facts, _SERVICES, Set.EXTERNAL_IP, _MARK_MASQ)
        yield from _external_ips(facts, Set.EXTERNAL_IP)
    yield from _external_ips(facts, Set.EXTERNAL_IP_LOCAL)
    yield f"-A {_SERVICES} -m addrtype --dst-type LOCAL -j {_NODE_PORT}"
    for one in (Set.CLUSTER_IP, Set.LOAD_BALANCER):
        if _is_filled(facts, one):
            name = set_name(one, facts.family)
            yield f"-A {_SERVICES} -m set --match-set {name} dst,dst -j ACCEPT"


def _cluster_ips(facts: Facts) -> Iterable[str]:
    if not _is_filled(facts, Set.CLUSTER_IP):
        return
    lookup = _lookup(facts, Set.CLUSTER_IP)
    if facts.masquerade_all:
        yield f"-A {_SERVICES} {lookup} -j {_MARK_MASQ}"
    elif facts.cluster_cidr:
        yield f"-A {_SERVICES} ! -s {facts.cluster_cidr} {lookup} -j {_MARK_MASQ}"
    else:
        # The node dials a service address from that same address, which no pod can answer.
        yield f"-A {_SERVICES} {lookup.removesuffix('dst,dst')}src,dst -j {_MARK_MASQ}"


def _external_ips(facts: Facts, one: Set) -> Iterable[str]:
    if _is_filled(facts, one):
        lookup = _lookup(facts, one)
        yield f"-A {_SERVICES} {lookup} {_FROM_ELSEWHERE} -j ACCEPT"
        yield f"-A {_SERVICES} {lookup} -m addrtype --dst-type LOCAL -j ACCEPT"


def _node_ports(facts: Facts) -> Iterable[str]:
    for protocol, (every, local) in NODE_PORTS.items():
        for one, target in ((local, "RETURN"), (every, _MARK_MASQ)):
            if _is_filled(facts, one):
                yield f"-A {_NODE_PORT} -p {protocol} {_lookup(facts, one)} -j {target}"


def _access_filter(facts: Facts) -> Iterable[str]:
    """A service address leads to the service's ports only, not to those of the node (#72236)."""
    for one in (
        Set.LOAD_BALANCER,
        Set.CLUSTER_IP,
        Set.EXTERNAL_IP,
        Set.EXTERNAL_IP_LOCAL,
        Set.HEALTH_CHECK_NODE_PORT,
    ):
        name = set_name(one, facts.family)
        yield f"-A {_FILTER} -m set --match-set {name} {matching(one)} -j RETURN"
    bound = set_name(Set.IPVS_IPS, facts.family)
    unreachable = "icmp-port-unreachable" if facts.family == 4 else "icmp6-port-unreachable"
    yield (
        f"-A {_FILTER} -m conntrack --ctstate NEW -m set --match-set {bound} dst"
        f" -j REJECT --reject-with {unreachable}"
    )


def _no_local(facts: Facts) -> Iterable[str]:
    """Policy Local without a local endpoint drops; IPVS without a virtual server would not."""
    yield from _matching(facts, _FIREWALL, Set.NO_LOCAL, "DROP")
    if _is_filled(facts, Set.NO_LOCAL_EXTERNAL):
        pods = f"! -s {facts.cluster_cidr} " if facts.cluster_cidr else ""
        lookup = _lookup(facts, Set.NO_LOCAL_EXTERNAL)
        yield f"-A {_FIREWALL} {pods}{lookup} -m addrtype ! --src-type LOCAL -j DROP"


def _cluster_traffic(facts: Facts) -> Iterable[str]:
    """Pods and the node go on to the cluster IP. The node has dialled from the address it dialled."""
    for where, target in facts.short:
        own = f"-A {_CLUSTER_TRAFFIC} {where} -m addrtype --src-type LOCAL -j"
        yield f"{own} {_MARK_MASQ}"
        if target:
            yield f"{own} {target}"
        if target and facts.cluster_cidr:
            yield f"-A {_CLUSTER_TRAFFIC} -s {facts.cluster_cidr} {where} -j {target}"
