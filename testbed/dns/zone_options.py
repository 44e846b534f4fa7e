"""What a zone is asked to publish: the options of CoreDNS's plug-in `kubernetes`, under its names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from testbed.model.label_selector import LabelSelector

DEFAULT_TTL_S = 5
"""CoreDNS's default for names and for their absence."""
MAX_TTL_S = 3600
REVERSE = ("in-addr.arpa", "ip6.arpa")
"""The zones of names that stand for addresses."""
POD_MODES = ("disabled", "insecure", "verified")


@dataclass(frozen=True, slots=True)
class ZoneOptions:
    """The defaults are those of a cluster that kubeadm has set up, but for the TTL, which is CoreDNS's own."""

    zones: tuple[str, ...] = ("cluster.local", *REVERSE)
    """What it answers for; the first that is not of addresses is the cluster's domain."""
    ttl_s: int = DEFAULT_TTL_S
    pods: str = "insecure"
    """One of POD_MODES: `a-b-c-d.NAMESPACE.pod` is no name; any address; that of a pod there."""
    endpoint_pod_names: bool = False
    """An endpoint without a hostname is named like its pod, not like its address."""
    endpoints: bool = True
    """False: `noendpoints`; neither endpoints nor headless services have names."""
    ignore_empty_service: bool = False
    """A service with a cluster address, but without a ready endpoint, does not exist."""
    namespaces: tuple[str, ...] = ()
    """Only these; empty: all."""
    namespace_labels: LabelSelector | None = None
    """Only namespaces that it matches."""
    labels: LabelSelector | None = None
    """Only services, endpoint slices and pods that it matches."""

    @property
    def domain(self) -> str:
        """The cluster's domain."""
        return _domain(self.zones)


@lru_cache(maxsize=64)
def _domain(zones: tuple[str, ...]) -> str:
    return next((zone for zone in zones if not is_reverse(zone)), "cluster.local")


def normal(name: str) -> str:
    """A name as zones compare them: lower case, without the final dot."""
    return name.lower().rstrip(".")


def is_reverse(zone: str) -> bool:
    """Whether its names stand for addresses."""
    return any(zone == root or zone.endswith(f".{root}") for root in REVERSE)
