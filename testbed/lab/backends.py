"""Which back end spells the rules of a topology: a line per proxy mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from testbed.kernel import features
from testbed.kernel.features import Feature
from testbed.kernel.guests import in_guest
from testbed.lab.companion import CompanionSpec
from testbed.model.topology import Topology
from testbed.podnet.masquerade import Tool, needs
from testbed.podnet.networks import network_of
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.ipvs import IpvsBackend
from testbed.proxy.nftables import NftablesBackend
from testbed.proxy.ruleset import Backend
from testbed.proxy.userspace import UserspaceBackend
from testbed.proxy.userspace_process.balancers import find_balancer
from testbed.proxy.userspace_table import PROCESS
from testbed.sandbox.world import in_user_namespace

NFT_RULES_IN_USER_NAMESPACE = 200
NFT_BYTES_IN_USER_NAMESPACE = 200_000
"""A transaction there has to fit 212,992 bytes: SO_SNDBUFFORCE is refused."""

Factory = Callable[[Topology, int], Backend]
"""(topology, IP family 4 or 6) -> the back end, as this user may run it."""


def backend(topology: Topology, family: int = 4) -> Backend:
    """The back end that a topology asks for."""
    return BACKENDS[topology.proxy.mode](topology, family)


def rules_per_transaction() -> int | None:
    """How many rules one nft transaction may hold; None: any number."""
    return NFT_RULES_IN_USER_NAMESPACE if in_user_namespace() else None


def iptables_variant(topology: Topology) -> Literal["nft", "legacy"]:
    """`nft` or `legacy`, where the topology leaves it to us."""
    variant = topology.proxy.iptables.variant
    if variant != "auto":
        return variant
    if in_guest() and Feature.IPTABLES_NFT not in features.known():
        return "legacy"
    return "legacy" if in_user_namespace() else "nft"


def masquerade_tool(topology: Topology) -> Tool:
    """What writes the pod network's own rules: the tool of the proxy's."""
    if topology.proxy.mode == "nftables":
        return "nft"
    return "iptables-nft" if iptables_variant(topology) == "nft" else "iptables-legacy"


def pod_network_needs(topology: Topology) -> frozenset[str]:
    """The features that the pod network of a topology needs."""
    network = topology.network
    rules = needs(masquerade_tool(topology), network.families) if network.masquerades else ()
    return network_of(topology).needs.union(rules)


def _iptables(topology: Topology, family: int) -> Backend:
    variant = iptables_variant(topology)
    bound = rules_per_transaction() if variant == "nft" else None
    return IptablesBackend(variant, bound, family)


def _ipvs(topology: Topology, family: int) -> Backend:
    ipvs = topology.proxy.ipvs
    return IpvsBackend(ipvs.scheduler, iptables_variant(topology), family, ipvs.strict_arp)


def _nftables(topology: Topology, family: int) -> Backend:
    return NftablesBackend(family, NFT_BYTES_IN_USER_NAMESPACE if in_user_namespace() else None)


def _userspace(topology: Topology, family: int) -> Backend:
    variant = iptables_variant(topology)
    bound = rules_per_transaction() if variant == "nft" else None
    balancer = topology.proxy.userspace.balancer
    find_balancer(balancer)  # now, and not in each node's process
    return UserspaceBackend(variant, bound, family, balancer)


BACKENDS: Mapping[str, Factory] = MappingProxyType(
    {
        "iptables": _iptables,
        "ipvs": _ipvs,
        "nftables": _nftables,
        "userspace": _userspace,
    }
)
"""Proxy mode -> how its back end is made. A new mode adds its line here."""


def companion(topology: Topology) -> CompanionSpec | None:
    """The process that is part of a node's proxy, where the mode has one."""
    if topology.proxy.mode != "userspace":
        return None
    settings = topology.proxy.userspace
    config = {
        "balancer": settings.balancer,
        "documented": topology.proxy.profile == "documented",
        "udp_idle_s": settings.udp_idle_s,
        "load_path": settings.load_path,
        "load_period_s": settings.load_period_s,
    }
    return CompanionSpec(PROCESS, "userspace", config)
