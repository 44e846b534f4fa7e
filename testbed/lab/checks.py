"""What `check` finds wrong with a topology beside what its own keys contradict."""

from __future__ import annotations

from testbed.apiserver.topology_manifests import stored_kinds
from testbed.edge import cloud_consistency
from testbed.model.fields import Mistake
from testbed.model.topology import Topology
from testbed.podnet import consistency


def checks(topology: Topology) -> list[Mistake]:
    """For `model.loader`."""
    return [
        *stored_kinds(topology),
        *consistency.mistakes(topology),
        *cloud_consistency.mistakes(topology),
        *_of_dns(topology),
    ]


def _of_dns(topology: Topology) -> list[Mistake]:
    if not (topology.dns.corefile or topology.dns.plugins or topology.dns.plugin_order):
        return []
    from testbed.dns import consistency as dns_consistency  # its plug-ins are many

    return list(dns_consistency.mistakes(topology))
