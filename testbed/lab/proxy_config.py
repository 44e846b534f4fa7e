"""A topology's options that proxies' rules depend on, for one IP family. Pure."""

from __future__ import annotations

from testbed.model.topology import Topology
from testbed.proxy.table import ProxyConfig


def proxy_config(topology: Topology, family: int) -> ProxyConfig:
    """What every node's proxy of that family is told. The topology has networks of that family."""
    network = topology.network
    of_family = network.families.index(family)
    return ProxyConfig(
        cluster_cidr=str(network.pod_cidrs[of_family]),
        family=family,
        masquerade_all=topology.proxy.masquerade_all,
        node_port_addresses=topology.proxy.node_port_addresses,
        documented=topology.proxy.profile == "documented",
        keep_stale_udp="keep-stale-udp" in topology.proxy.bugs,
        service_cidr=str(network.service_cidrs[of_family]),
    )
