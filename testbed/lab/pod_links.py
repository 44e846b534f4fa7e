"""How the pods of a lab are joined to their nodes: by the testbed's own links, or by CNI plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.events import Record
from testbed.ip import IPNetwork
from testbed.model.topology import Topology
from testbed.podnet.addresses import PodAddresses
from testbed.podnet.network import Bridge, NodeNetwork, Vxlan
from testbed.podnet.ways import Bridged, Routed, Way
from testbed.runtime.pod_links import PodLinks
from testbed.runtime.veth_links import VethLinks

Addresses = Callable[[str, tuple[IPNetwork, ...]], PodAddresses]
"""Of (node, its ranges): where its pods get their addresses from."""
Links = Callable[[str, int, NodeNetwork], PodLinks]
"""Of (node, a descriptor of its namespace, what it has of the pod network)."""


def own_links(addresses: Addresses) -> Links:
    """The testbed's own."""

    def links(node: str, namespace: int, network: NodeNetwork) -> PodLinks:
        given = addresses(node, network.pod_cidrs)
        tunnels = any(isinstance(device, Vxlan) for device in network.devices)
        way = way_of(network)
        return VethLinks(namespace, network.pod_mtu, given, way, large=not tunnels)

    return links


def way_of(network: NodeNetwork) -> Way:
    """How the testbed's own links join a pod to this node."""
    if network.pod_links is None:
        return Routed()
    name = network.pod_links.bridge
    bridge = next(one for one in network.devices if isinstance(one, Bridge) and one.name == name)
    return Bridged(bridge.index, network.pod_links.gateways)


@dataclass(frozen=True, slots=True)
class Host:
    """What plug-ins find of the lab around them."""

    folder: Path
    """Of the lab: what they keep is in it."""
    environment: Callable[[str], Mapping[str, str]]
    """A node's own variables."""


def plugin_links(topology: Topology, host: Host, record: Record) -> Links:
    """By the plug-ins of `network.cni.conflist`. Raises MissingFeature that names those that are not there."""
    # Only these labs pay for it.
    from testbed.cni.attachments import Attachments
    from testbed.cni.links import Place, PluginLinks
    from testbed.cni.node_world import NodeWorld, Surroundings
    from testbed.cni.plugins import Plugins
    from testbed.lab.backends import iptables_variant
    from testbed.model import cni_template
    from testbed.model.conflist import network_list

    cni = topology.network.cni
    assert cni.conflist is not None
    written = cni.conflist
    plugins = Plugins(network_list(written), cni.path)

    def links(node: str, namespace: int, network: NodeNetwork) -> PodLinks:
        own = cni_template.values(tuple(map(str, network.pod_cidrs)), network.pod_mtu, node)
        listed = network_list(cni_template.of_node(written, own))
        around = Surroundings(
            namespace,
            host.folder / "cni" / node,
            iptables_variant(topology),
            host.environment(node),
        )
        attachments = Attachments(listed, plugins, NodeWorld(around))
        return PluginLinks(Place(node, topology.network.families), listed, attachments, record)

    return links
