"""Which provider a topology asks for: a line per word of `loadBalancer.provider`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from testbed.edge.provider import Provider
from testbed.errors import NotBuiltYet
from testbed.kernel.features import Feature
from testbed.lab.bgp import BgpProvider
from testbed.lab.cloud import CloudProvider
from testbed.lab.l2 import L2Provider
from testbed.lab.pod_network import LabPodNetwork
from testbed.lab.setting import Setting
from testbed.model.topology import Topology

_PROGRAMS = {
    "haproxy": frozenset({Feature.HAPROXY}),
    "nftables": frozenset({Feature.NFTABLES_NETDEV}),
    "ipvs": frozenset({Feature.IPVS}),
}


@dataclass(frozen=True, slots=True)
class ProviderParts:
    """What a provider is made of, beside its own."""

    setting: Setting
    namespace: Callable[[str], int]
    """Descriptor of a node's or host's namespace, by name."""
    pod_network: LabPodNetwork
    changed: asyncio.Event
    """To be set whenever `Provider.missing` may say something else."""


PROVIDERS: Mapping[str, Callable[[ProviderParts], Provider]] = MappingProxyType(
    {"bgp": BgpProvider, "cloud": CloudProvider, "l2": L2Provider}
)


def provider_needs(topology: Topology) -> frozenset[Feature]:
    """The features that a topology's provider needs."""
    balancer = topology.load_balancer
    return _PROGRAMS[balancer.cloud.program] if balancer.provider == "cloud" else frozenset()


def provider_of(parts: ProviderParts) -> Provider | None:
    """None: addresses stay pending. Raises NotBuiltYet."""
    name = parts.setting.topology.load_balancer.provider
    if name == "none":
        return None
    if name not in PROVIDERS:
        there = ", ".join(("none", *PROVIDERS))
        raise NotBuiltYet(f"loadBalancer.provider {name} is not built yet", f"there is {there}")
    return PROVIDERS[name](parts)
