"""What all nodes of a lab share: how their pods are joined and run, who proxies, what they wait for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from testbed.controllers.heartbeats import Heartbeats
from testbed.controllers.timing import Delays, KubeletTiming
from testbed.events import Record
from testbed.kernel.run import Shell
from testbed.lab.node_proxy import NodeProxy
from testbed.lab.pod_links import Host, Links, own_links, plugin_links
from testbed.lab.pod_network import LabPodNetwork
from testbed.lab.proxies import Proxies
from testbed.lab.setting import Setting
from testbed.lab.sticky_addresses import StickyAddresses
from testbed.model.timing import Timing
from testbed.podnet.addresses import OwnAddresses
from testbed.podnet.network import NodeNetwork
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.ruleset import Backend
from testbed.runtime.netns import Namespaces, Programs
from testbed.store import Store


@dataclass(frozen=True, slots=True)
class NodeParts:
    """Of one lab."""

    store: Store
    record: Record
    programs: Programs
    namespaces: Namespaces | None
    """Where those of pods come from; None: they are made here."""
    network: Callable[[str], NodeNetwork]
    """What a node has of the pod network; it has it already."""
    links: Links
    """How its pods are joined to a node."""
    backends: Mapping[int, Backend]
    """By IP family, the primary one first: each has a proxy of its own on every node."""
    proxy: Callable[[str, int, Shell], ProxyLoop]
    """Of (node, IP family, the node's shell)."""
    external: Callable[[str, int, Shell], NodeProxy] | None
    """Somebody else's proxy, where there are no back ends: of (node, its namespace, its shell)."""
    timing: KubeletTiming
    delays: Delays
    heartbeats: Heartbeats
    seed: str
    lock_file: Callable[[str], str]
    """Path of a node's own xtables lock: the host's is not ours, and nodes must not wait for each other."""


def node_parts(
    setting: Setting, pod_network: LabPodNetwork, proxies: Proxies, namespaces: Namespaces | None
) -> NodeParts:
    """Those of a lab. Raises MissingFeature that names the CNI plug-ins that are not there."""
    timing = setting.topology.timing
    locks = setting.folder / "locks"
    locks.mkdir(exist_ok=True)

    def lock_file(node: str) -> str:
        return str(locks / node)

    return NodeParts(
        store=setting.store,
        record=setting.record,
        programs=setting.programs,
        namespaces=namespaces,
        network=pod_network.of,
        links=_links(setting, pod_network, lock_file),
        backends=proxies.backends,
        proxy=proxies.loop,
        external=proxies.external(),
        timing=_kubelet_timing(timing),
        delays=setting.delays,
        heartbeats=Heartbeats(timing.node_monitor_grace_period_s),
        seed=setting.name,
        lock_file=lock_file,
    )


def _links(setting: Setting, pod_network: LabPodNetwork, lock_file: Callable[[str], str]) -> Links:
    """How pods are joined to their nodes."""
    network = setting.topology.network
    if network.cni.conflist is not None:
        host = Host(setting.folder, lambda node: {"XTABLES_LOCKFILE": lock_file(node)})
        return plugin_links(setting.topology, host, setting.record)
    if network.sticky_ips:
        return own_links(StickyAddresses(setting.store, pod_network.lead_away).of_node)
    return own_links(lambda node, ranges: OwnAddresses(ranges))


def _kubelet_timing(timing: Timing) -> KubeletTiming:
    return KubeletTiming(
        relist_s=timing.relist_period_s,
        backoff_initial_s=timing.restart_backoff_s,
        backoff_max_s=timing.restart_backoff_max_s,
    )
